//! What a user agent says about browser, system and device.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use woothee::parser::Parser;

use super::bots;
use super::capture::cut;

/// How many user agents each of the two generations of a [`Memo`] holds: 2 MB in all at worst.
const GENERATION: usize = 2_048;

/// What is kept of a user agent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Agent {
    pub(super) browser: Option<&'static str>,
    pub(super) os: Option<&'static str>,
    pub(super) device: Option<&'static str>,
    pub(super) bot: bool,
}

/// Whether this user agent is that of a program that nobody clicks with: a crawler, or a fetcher of
/// link previews (Slack, X, Facebook, WhatsApp, Discord, Telegram, LinkedIn, Teams and others).
///
/// It is when [woothee](https://github.com/woothee/woothee) knows it as a crawler, when it names one
/// of the known fetchers, and when it signs as programs do: with a page about itself (`+https://…`) or
/// with a product whose name ends in `bot`, `crawler` or `spider`. Tools that people use, such as
/// curl, are not bots, and neither is who sends no user agent. Takes about 2 µs.
///
/// ```
/// assert!(linkly_core::is_bot("Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)"));
/// assert!(!linkly_core::is_bot("curl/8.5.0"));
/// ```
pub fn is_bot(user_agent: &str) -> bool {
    let user_agent = cut(user_agent);
    bots::named(user_agent).is_some() || bots::signs_as_one(user_agent) || parse(user_agent).bot
}

fn parse(user_agent: &str) -> Agent {
    // Anybody's text meets a parser of somebody else's: its panic must not end the app's clicks.
    let parsed = std::panic::catch_unwind(|| Parser::new().parse(user_agent)).ok().flatten().unwrap_or_default();
    let mut agent = Agent {
        browser: name(parsed.name),
        os: name(parsed.os),
        device: name(parsed.category),
        bot: parsed.category == "crawler",
    };
    let program = bots::named(user_agent);
    if program.is_some() || bots::signs_as_one(user_agent) {
        // Such programs often claim a browser and a system that they are not.
        let claimed = if agent.bot { agent.browser } else { None };
        agent = Agent { browser: program.or(claimed), os: None, device: Some("crawler"), bot: true };
    }
    agent
}

/// The parser's own text for a name, which needs no allocation; `None` when it does not know.
fn name(text: &str) -> Option<&'static str> {
    static NAMES: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
        let known = woothee::dataset::DATASET.values().flat_map(|known| [known.name, known.os, known.category]);
        known.filter(|text| !text.is_empty() && *text != woothee::woothee::VALUE_UNKNOWN).collect()
    });
    NAMES.get(text).copied()
}

/// Remembers what was parsed, in two generations: what is asked for stays, what is not gives way.
#[derive(Debug, Default)]
pub(super) struct Memo {
    young: HashMap<Box<str>, Agent>,
    old: HashMap<Box<str>, Agent>,
}

impl Memo {
    pub(super) fn parse(&mut self, user_agent: &str) -> Agent {
        if let Some(known) = self.young.get(user_agent) {
            return *known;
        }
        let (text, agent) = match self.old.remove_entry(user_agent) {
            Some(known) => known,
            None => (user_agent.into(), parse(user_agent)),
        };
        if self.young.len() >= GENERATION {
            std::mem::swap(&mut self.young, &mut self.old);
            self.young.clear();
        }
        self.young.insert(text, agent);
        agent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
    const IPHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1";

    #[test]
    fn a_browser_is_told_by_name_system_and_device() {
        let firefox = Agent { browser: Some("Firefox"), os: Some("Linux"), device: Some("pc"), bot: false };
        assert_eq!(parse(FIREFOX), firefox);
        let iphone = Agent { browser: Some("Safari"), os: Some("iPhone"), device: Some("smartphone"), bot: false };
        assert_eq!(parse(IPHONE), iphone);
    }

    #[test]
    fn what_nobody_knows_is_left_open() {
        for unknown in ["", "-", "UNKNOWN", "\0\u{1}", "something/1.0", &"é".repeat(256)] {
            assert_eq!(parse(unknown), Agent::default(), "{unknown:?}");
        }
    }

    #[test]
    fn crawlers_and_previews_are_bots() {
        for bot in [
            "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
            "Twitterbot/1.0",
            "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
            "WhatsApp/2.23.20.0",
            "Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)",
            "TelegramBot (like TwitterBot)",
            "LinkedInBot/1.0 (compatible; Mozilla/5.0; Apache-HttpClient +http://www.linkedin.com)",
            "Mozilla/5.0 (Windows NT 6.1; WOW64) SkypeUriPreview Preview/0.5",
            "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_11_1) AppleWebKit/601.2.4 (KHTML, like Gecko) Version/9.0.1 Safari/601.2.4 facebookexternalhit/1.1 Facebot Twitterbot/1.0",
            "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; ClaudeBot/1.0; +claudebot@anthropic.com)",
            "Mozilla/5.0 (compatible; some-new-crawler/0.1) Chrome/138.0.0.0 Safari/537.36",
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/138.0.0.0 Safari/537.36",
        ] {
            let agent = parse(bot);
            assert!(is_bot(bot) && agent.bot, "{bot}");
            assert_eq!((agent.device, agent.os), (Some("crawler"), None), "{bot}");
        }
        assert_eq!(parse("Mozilla/5.0 (Windows NT 6.1) SkypeUriPreview Preview/0.5").browser, Some("SkypeUriPreview"));
    }

    #[test]
    fn people_and_their_tools_are_not_bots() {
        let cubot =
            "Mozilla/5.0 (Linux; Android 13; CUBOT/P80) AppleWebKit/537.36 Chrome/138.0.0.0 Mobile Safari/537.36";
        for person in [FIREFOX, IPHONE, cubot, "curl/8.5.0", "Wget/1.21", "", "PostmanRuntime/7.43"] {
            assert!(!is_bot(person) && !parse(person).bot, "{person}");
        }
    }

    #[test]
    fn a_memo_is_bounded_and_keeps_what_is_asked_for() {
        let mut memo = Memo::default();
        for number in 0..3 * GENERATION {
            memo.parse(&format!("curl/{number}"));
            assert_eq!(memo.parse(FIREFOX).browser, Some("Firefox"));
        }
        assert!(memo.young.len() + memo.old.len() <= 2 * GENERATION);
        assert!(memo.young.contains_key(FIREFOX) || memo.old.contains_key(FIREFOX));
        assert!(!memo.young.contains_key("curl/0") && !memo.old.contains_key("curl/0"));
    }
}
