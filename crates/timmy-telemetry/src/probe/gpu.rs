//! Graphics processors, where the tool of their maker is installed.

use serde::Serialize;
use serde_json::Value;

use super::Unseen;
use super::program;
use super::program::Ran;

const NVIDIA: &str = "nvidia-smi";
const NVIDIA_ARGUMENTS: [&str; 2] = [
    "--query-gpu=index,memory.used,memory.total,utilization.gpu,power.draw",
    "--format=csv,noheader,nounits",
];
const AMD: &str = "rocm-smi";
const AMD_ARGUMENTS: [&str; 5] = [
    "--showuse",
    "--showmeminfo",
    "vram",
    "--showpower",
    "--json",
];
const MEBIBYTE: f64 = 1_048_576.0;
/// Processors of one machine that are read, at most.
const MOST: usize = 64;

/// A graphics processor. What its tool does not tell is not there.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Gpu {
    /// Its number, or the name its tool gives it.
    pub index: String,
    /// Bytes of its memory that are taken.
    pub memory_used: Option<f64>,
    /// Bytes of its memory.
    pub memory_total: Option<f64>,
    /// The share of the last moments in which it worked, from 0 to 1.
    pub busy: Option<f64>,
    /// Watts it draws.
    pub watts: Option<f64>,
}

/// The processors of this machine, and tools that are there and did not answer.
pub async fn read() -> (Vec<Gpu>, Vec<Unseen>) {
    let (nvidia, amd) = tokio::join!(
        program::run(NVIDIA, &NVIDIA_ARGUMENTS),
        program::run(AMD, &AMD_ARGUMENTS),
    );
    let mut gpus = Vec::new();
    let mut unseen = Vec::new();
    let tools = [
        (NVIDIA, nvidia, parse_nvidia as fn(&str) -> Vec<Gpu>),
        (AMD, amd, parse_amd),
    ];
    for (tool, ran, parse) in tools {
        match ran {
            // The tool without a processor or its driver ends with an error.
            Ran::Missing | Ran::Ended { well: false, .. } => {}
            Ran::Ended { well: true, text } => gpus.extend(parse(&text)),
            Ran::Failed(why) => unseen.push(Unseen::new(tool, &why)),
        }
    }
    (gpus, unseen)
}

/// `0, 1024, 81559, 35, 70.12`; what is not supported is told in brackets.
fn parse_nvidia(text: &str) -> Vec<Gpu> {
    let line = |line: &str| {
        let fields: Vec<&str> = line.split(',').map(str::trim).collect();
        let [index, used, total, busy, watts] = fields[..] else {
            return None;
        };
        index.parse::<u16>().ok()?;
        Some(Gpu {
            index: index.to_owned(),
            memory_used: figure(used).map(|mebibytes| mebibytes * MEBIBYTE),
            memory_total: figure(total).map(|mebibytes| mebibytes * MEBIBYTE),
            busy: figure(busy).map(share),
            watts: figure(watts),
        })
    };
    text.lines().filter_map(line).take(MOST).collect()
}

/// One object a card; the names of its figures differ by version.
fn parse_amd(text: &str) -> Vec<Gpu> {
    let Ok(Value::Object(cards)) = serde_json::from_str(text) else {
        return Vec::new();
    };
    let card = |(name, told): (&String, &Value)| {
        name.strip_prefix("card")?.parse::<u16>().ok()?;
        let told = told.as_object()?;
        let find = |is: &dyn Fn(&str) -> bool| {
            let found = told.iter().find(|(name, _)| is(name))?;
            figure(found.1.as_str()?)
        };
        Some(Gpu {
            index: name.clone(),
            memory_used: find(&|name| name == "VRAM Total Used Memory (B)"),
            memory_total: find(&|name| name == "VRAM Total Memory (B)"),
            busy: find(&|name| name == "GPU use (%)").map(share),
            watts: find(&|name| name.contains("Power (W)")),
        })
    };
    cards.iter().filter_map(card).take(MOST).collect()
}

fn figure(text: &str) -> Option<f64> {
    let figure = text.trim().parse::<f64>().ok();
    figure.filter(|figure| figure.is_finite() && *figure >= 0.0)
}

fn share(percent: f64) -> f64 {
    (percent / 100.0).min(1.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_nvidia_says_is_read() {
        let text = "0, 1024, 81559, 35, 70.12\n1, [N/A], 81559, [Not Supported], [N/A]\n\
                    NVIDIA-SMI has failed\n";
        let gpus = parse_nvidia(text);
        assert_eq!(2, gpus.len());
        assert_eq!(Some(1024.0 * MEBIBYTE), gpus[0].memory_used);
        assert_eq!((Some(0.35), Some(70.12)), (gpus[0].busy, gpus[0].watts));
        assert_eq!(
            (None, None, None),
            (gpus[1].memory_used, gpus[1].busy, gpus[1].watts)
        );
    }

    #[test]
    fn what_amd_says_is_read() {
        let text = r#"{"card0": {"GPU use (%)": "7", "VRAM Total Memory (B)": "17163091968",
            "VRAM Total Used Memory (B)": "10977280", "Average Graphics Package Power (W)": "35.0"},
            "system": {"Driver version": "6.3.6"}}"#;
        let expected = Gpu {
            index: "card0".to_owned(),
            memory_used: Some(10_977_280.0),
            memory_total: Some(17_163_091_968.0),
            busy: Some(0.07),
            watts: Some(35.0),
        };
        assert_eq!(vec![expected], parse_amd(text));
    }

    proptest! {
        #[test]
        fn any_text_can_be_read(text in any::<String>()) {
            parse_nvidia(&text);
            parse_amd(&text);
        }
    }
}
