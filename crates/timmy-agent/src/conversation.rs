//! Everything said so far, and how it is shortened when it must be.

use timmy_model::Message;
use timmy_model::Reply;
use timmy_model::ToolCall;

/// The newest messages that shortening never touches.
const KEPT_AT_END: usize = 8;
/// A tool result shorter than this is not worth taking out, in bytes.
const WORTH_SHORTENING: usize = 400;

/// What stands in the place of a result that was taken out.
const LEFT_OUT: &str = "[left out to save room; call the tool again if it is needed]";

/// What stands in the place of a reply without text and calls.
const SAID_NOTHING: &str = "[nothing was said]";

/// The messages of one run. The first two, rules and task, always stay.
#[derive(Debug, Clone)]
pub struct Conversation {
    messages: Vec<Message>,
}

impl Conversation {
    /// A conversation that opens with the rules and the task.
    #[must_use]
    pub fn new(rules: String, task: String) -> Self {
        Self {
            messages: vec![Message::System(rules), Message::User(task)],
        }
    }

    /// The messages in order.
    #[must_use]
    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// What the model said. Servers refuse a message that has neither text nor calls, which is what
    /// a reply is whose limit was used up by reasoning.
    pub(crate) fn replied(&mut self, reply: &Reply) {
        let mut message = Message::from_reply(reply);
        if let Message::Assistant { text, calls, .. } = &mut message
            && calls.is_empty()
            && text.trim().is_empty()
        {
            SAID_NOTHING.clone_into(text);
        }
        self.messages.push(message);
    }

    pub(crate) fn answered(&mut self, call: &ToolCall, result: String) {
        self.messages.push(Message::result(call, result));
    }

    /// A remark of timmy to the model. It joins a remark, or the task, that nobody answered yet:
    /// the templates of some models demand that roles take turns. Not to be made between the
    /// results of one reply, which have to follow it directly.
    pub(crate) fn remark(&mut self, text: &str) {
        if let Some(Message::User(last)) = self.messages.last_mut() {
            last.push_str("\n\n");
            last.push_str(text);
        } else {
            self.messages.push(Message::User(text.to_owned()));
        }
    }

    /// Takes out old, long tool results, so that calls and results still pair up. Returns the
    /// number of bytes saved; zero means that there is nothing left to take out.
    pub fn shorten(&mut self) -> usize {
        let end = self.messages.len().saturating_sub(KEPT_AT_END);
        let mut saved = 0;
        for message in &mut self.messages[..end] {
            let Message::Tool { text, .. } = message else {
                continue;
            };
            if text.len() >= WORTH_SHORTENING {
                saved += text.len() - LEFT_OUT.len();
                LEFT_OUT.clone_into(text);
            }
        }
        saved
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use timmy_model::Arguments;

    use super::*;

    fn call(id: usize) -> ToolCall {
        let arguments = Arguments::Object(serde_json::Map::new());
        ToolCall {
            id: id.to_string(),
            name: "read_file".to_owned(),
            arguments,
        }
    }

    #[test]
    fn shortening_keeps_the_task_the_pairs_and_the_newest() {
        let mut conversation = Conversation::new("rules".to_owned(), "task".repeat(400));
        for id in 0..12 {
            conversation.answered(&call(id), "x".repeat(1_000));
        }
        let saved = conversation.shorten();
        let texts: Vec<usize> = conversation
            .messages()
            .iter()
            .map(|m| m.text().len())
            .collect();
        assert_eq!(4 * (1_000 - LEFT_OUT.len()), saved);
        assert_eq!([5, 1_600], texts[..2]);
        assert!(texts[2..6].iter().all(|length| *length == LEFT_OUT.len()));
        assert!(texts[6..].iter().all(|length| *length == 1_000));
        assert_eq!(0, conversation.shorten());
    }

    #[test]
    fn a_remark_joins_what_nobody_answered_yet() {
        let mut conversation = Conversation::new("rules".to_owned(), "task".to_owned());
        conversation.remark("one");
        conversation.answered(&call(0), "result".to_owned());
        conversation.remark("two");
        conversation.remark("three");
        let expected = [
            Message::System("rules".to_owned()),
            Message::User("task\n\none".to_owned()),
            Message::result(&call(0), "result"),
            Message::User("two\n\nthree".to_owned()),
        ];
        assert_eq!(expected, *conversation.messages());
    }

    /// Everything but the texts of results.
    fn outline(conversation: &Conversation) -> Vec<&str> {
        let messages = conversation.messages().iter();
        messages
            .map(|message| match message {
                Message::Tool { call_id, .. } => call_id.as_str(),
                other => other.text(),
            })
            .collect()
    }

    proptest! {
        #[test]
        fn shortening_keeps_every_pair_saves_what_it_says_and_is_done_at_once(
            lengths in prop::collection::vec((any::<bool>(), 0_usize..900), 0..40)
        ) {
            let mut conversation = Conversation::new("rules".to_owned(), "t".repeat(900));
            for (id, (is_result, length)) in lengths.iter().enumerate() {
                let text = "é".repeat(*length / 2);
                match is_result {
                    true => conversation.answered(&call(id), text),
                    false => conversation.messages.push(Message::User(text)),
                }
            }
            let before = conversation.clone();
            let bytes = |c: &Conversation| c.messages.iter().map(|m| m.text().len()).sum::<usize>();
            let saved = conversation.shorten();
            prop_assert_eq!(bytes(&before), bytes(&conversation) + saved);
            prop_assert_eq!(outline(&before), outline(&conversation));
            let kept = before.messages.len().saturating_sub(KEPT_AT_END);
            prop_assert_eq!(&before.messages[kept..], &conversation.messages[kept..]);
            prop_assert_eq!(0, conversation.shorten());
        }
    }
}
