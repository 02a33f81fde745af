//! Captures become clicks.

use chrono::DateTime;

use super::capture::{Chunk, Slot};
use super::user_agent::{Agent, Memo};
use super::{VisitorHash, referrer};
use crate::{Click, Code, id};

/// The last millisecond that a click can have: that of the year 9999.
const LAST_MILLI: i64 = 253_402_300_799_999;

/// Makes clicks, each with its id, that [`Click::check`] accepts.
#[derive(Debug)]
pub(super) struct Enricher {
    agents: Memo,
    visitor_hash: Option<VisitorHash>,
    /// The code before: a hot link's clicks share it.
    code: Option<Code>,
}

impl Enricher {
    pub(super) fn new(visitor_hash: Option<VisitorHash>) -> Self {
        Self { agents: Memo::default(), visitor_hash, code: None }
    }

    pub(super) fn clicks(&mut self, chunk: &Chunk) -> Vec<Click> {
        let mut clicks = Vec::with_capacity(chunk.len());
        self.append(chunk, &mut clicks);
        clicks
    }

    /// The same, behind what is in `clicks`.
    pub(super) fn append(&mut self, chunk: &Chunk, clicks: &mut Vec<Click>) {
        clicks.extend(
            chunk.iter().map(|(slot, code, referrer, user_agent)| self.click(slot, code, referrer, user_agent)),
        );
    }

    fn click(&mut self, slot: &Slot, code: &str, referrer: Option<&str>, user_agent: Option<&str>) -> Click {
        let at = DateTime::from_timestamp_millis(slot.at_millis.clamp(0, LAST_MILLI)).unwrap_or_default();
        let agent = user_agent.map_or_else(Agent::default, |text| self.agents.parse(text));
        let mut click = Click::with_id(id::new_id(at), self.code(code), at);
        click.link_id = slot.link_id;
        click.referrer = referrer.and_then(referrer::host);
        click.browser = agent.browser.map(Into::into);
        click.os = agent.os.map(Into::into);
        click.device = agent.device.map(Into::into);
        click.country = slot.country.map(|two| two.map(char::from).iter().collect());
        click.bot = slot.bot.unwrap_or(agent.bot);
        click.visitor = match (&self.visitor_hash, slot.ip) {
            (Some(hash), Some(ip)) => Some(hash.hash(at, ip, user_agent.unwrap_or_default())),
            _ => None,
        };
        click
    }

    fn code(&mut self, text: &str) -> Code {
        match &self.code {
            Some(code) if code.as_str() == text => code.clone(),
            _ => self.code.insert(Code::from_checked(text)).clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Capture;
    use chrono::{DateTime, Utc};
    use rand::{RngExt, SeedableRng, rngs::StdRng};

    fn clicks(captures: impl IntoIterator<Item = Capture<'static>>, hash: Option<VisitorHash>) -> Vec<Click> {
        let mut chunk = Chunk::new();
        for capture in captures {
            chunk.push(&capture, hash.is_some());
        }
        Enricher::new(hash).clicks(&chunk)
    }

    fn code() -> Code {
        Code::new("a").unwrap()
    }

    #[test]
    fn a_click_says_what_its_capture_knew() {
        let at = DateTime::from_timestamp_millis(1_767_225_600_123).unwrap();
        let link = uuid::Uuid::from_u128(7);
        let capture = Capture::new(code(), at)
            .with_link_id(link)
            .with_referrer("https://News.example.com/a?secret")
            .with_user_agent("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
            .with_country("ch")
            .with_ip(std::net::IpAddr::from([192, 0, 2, 1]));
        let hash = VisitorHash::new([7; 16]);
        let known = &clicks([capture.clone()], Some(hash))[0];
        let mut expected = Click::with_id(known.id, code(), at);
        expected.link_id = Some(link);
        expected.referrer = Some("news.example.com".into());
        expected.browser = Some("Firefox".into());
        expected.os = Some("Linux".into());
        expected.device = Some("pc".into());
        expected.country = Some("CH".into());
        expected.visitor = known.visitor;
        assert_eq!(*known, expected);
        assert!(known.visitor.is_some());
        assert_eq!(clicks([capture], None)[0].visitor, None);
    }

    #[test]
    fn what_is_known_of_a_bot_goes_before_what_the_agent_says() {
        let capture = Capture::new(code(), Utc::now()).with_user_agent("Twitterbot/1.0");
        let made =
            clicks([capture.clone(), capture.with_bot(false), Capture::new(code(), Utc::now()).with_bot(true)], None);
        assert_eq!(made.iter().map(|click| click.bot).collect::<Vec<_>>(), [true, false, true]);
    }

    #[test]
    fn every_click_passes_the_check_of_a_store() {
        let times = [DateTime::<Utc>::MIN_UTC, DateTime::from_timestamp_millis(-1).unwrap(), DateTime::<Utc>::MAX_UTC];
        for click in clicks(times.map(|at| Capture::new(code(), at)), None) {
            click.check().unwrap();
        }
        let seed = 7;
        let mut random = StdRng::seed_from_u64(seed);
        let pieces = [
            "Mozilla/5.0 ",
            "\0",
            "\r\n",
            "é",
            "Chrome/",
            "(",
            "MSIE ",
            "https://",
            "/",
            "Android ",
            "x.y",
            "bot",
            "😀",
            " ",
        ];
        for _ in 0..5_000 {
            let mut text = || -> String {
                (0..random.random_range(0..40)).map(|_| pieces[random.random_range(0..pieces.len())]).collect()
            };
            let (referrer, agent, country) = (format!("https://{}", text()), text(), text());
            let capture = Capture::new(code(), Utc::now()).with_country(&*country);
            let mut chunk = Chunk::new();
            chunk.push(&capture.with_referrer(&*referrer).with_user_agent(&*agent), false);
            for click in Enricher::new(None).clicks(&chunk) {
                click.check().unwrap_or_else(|error| panic!("seed {seed}: {referrer:?} {agent:?}: {error}"));
            }
        }
    }
}
