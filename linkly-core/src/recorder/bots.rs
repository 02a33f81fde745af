//! Programs that fetch a short link without a person behind them.

/// What programs call themselves that look like browsers otherwise, or that the parser does not know:
/// fetchers of link previews first, then crawlers. As they write it themselves, the case included.
const NAMES: [&str; 33] = [
    "Slackbot",
    "Slack-ImgProxy",
    "Twitterbot",
    "facebookexternalhit",
    "facebookcatalog",
    "Facebot",
    "meta-externalagent",
    "meta-externalfetcher",
    "WhatsApp",
    "Discordbot",
    "TelegramBot",
    "LinkedInBot",
    "SkypeUriPreview",
    "MicrosoftPreview",
    "BingPreview",
    "Snap URL Preview",
    "kakaotalk-scrap",
    "vkShare",
    "redditbot",
    "Pinterestbot",
    "Bluesky Cardyb",
    "Iframely",
    "Embedly",
    "Googlebot",
    "Google-InspectionTool",
    "GoogleOther",
    "bingbot",
    "Applebot",
    "Bytespider",
    "ChatGPT-User",
    "Claude-User",
    "Perplexity-User",
    "HeadlessChrome",
];

/// The name of the program, where it is one of [`NAMES`].
pub(super) fn named(user_agent: &str) -> Option<&'static str> {
    NAMES.into_iter().find(|name| user_agent.contains(name))
}

/// Whether it signs as programs do: with a page about itself (`+https://`, which no browser has), or
/// with a product whose name ends in bot, crawler or spider.
pub(super) fn signs_as_one(user_agent: &str) -> bool {
    let ends = |product: &[u8], with: &str| {
        product.len().checked_sub(with.len()).is_some_and(|at| product[at..].eq_ignore_ascii_case(with.as_bytes()))
    };
    // Cubot makes telephones.
    let is_bot = |product: &[u8]| {
        ends(product, "crawler") || ends(product, "spider") || (ends(product, "bot") && !ends(product, "cubot"))
    };
    user_agent.contains("+http") || user_agent.match_indices('/').any(|(at, _)| is_bot(&user_agent.as_bytes()[..at]))
}
