//! The difference of two texts that differ in one place, in the unified form.

/// Equal lines shown on each side.
const CONTEXT: usize = 3;

/// The difference; empty for equal texts.
pub(super) fn unified(name: &str, before: &str, after: &str) -> String {
    if before == after {
        return String::new();
    }
    let (before, after): (Vec<&str>, Vec<&str>) = (
        before.split_inclusive('\n').collect(),
        after.split_inclusive('\n').collect(),
    );
    let equal = before.iter().zip(&after);
    let same = equal.take_while(|(one, other)| one == other).count();
    let rest = before.len().min(after.len()) - same;
    let equal = before.iter().rev().zip(after.iter().rev()).take(rest);
    let same_end = equal.take_while(|(one, other)| one == other).count();
    let first = same.saturating_sub(CONTEXT);
    let (gone, new) = (
        &before[same..before.len() - same_end],
        &after[same..after.len() - same_end],
    );
    let behind = &before[before.len() - same_end..];
    let behind = &behind[..behind.len().min(CONTEXT)];
    let shown = same - first + behind.len();
    let mut diff = format!(
        "--- {name}\n+++ {name}\n@@ -{} +{} @@\n",
        place(first, shown + gone.len()),
        place(first, shown + new.len())
    );
    let parts = [
        (' ', &before[first..same]),
        ('-', gone),
        ('+', new),
        (' ', behind),
    ];
    for (mark, lines) in parts {
        for line in lines {
            diff.push(mark);
            diff.push_str(line.trim_end_matches(['\n', '\r']));
            diff.push('\n');
            if !line.ends_with('\n') {
                diff.push_str("\\ No newline at end of file\n");
            }
        }
    }
    diff
}

/// Where a hunk begins and how long it is, as the form has it.
fn place(first: usize, length: usize) -> String {
    match length {
        0 => format!("{first},0"),
        length => format!("{},{length}", first + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_changed_line_with_its_surroundings() {
        let before = "1\n2\n3\n4\nmodel: a\n5\n6\n7\n8\n";
        let after = before.replace("model: a", "model: b");
        insta::assert_snapshot!(unified("c.yaml", before, &after), @r"
        --- c.yaml
        +++ c.yaml
        @@ -2,7 +2,7 @@
         2
         3
         4
        -model: a
        +model: b
         5
         6
         7
        ");
        assert_eq!("", unified("c", before, before));
    }

    #[test]
    fn a_line_more_at_the_end() {
        insta::assert_snapshot!(unified("c", "a", "a\nb\n"), @r"
        --- c
        +++ c
        @@ -1,1 +1,2 @@
        -a
        \ No newline at end of file
        +a
        +b
        ");
        insta::assert_snapshot!(unified("c", "", "b\n"), @r"
        --- c
        +++ c
        @@ -0,0 +1,1 @@
        +b
        ");
    }
}
