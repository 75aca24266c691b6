//! The workflow as a table in Markdown, for the documentation: made from the rules themselves.

use super::Status;
use super::rules::{RULES, To};

fn status_zh(status: Status) -> &'static str {
    match status {
        Status::Dispatched => "已派单",
        Status::OnSite => "已到场",
        Status::Stopped => "已制止",
        Status::Demolishing => "拆除中",
        Status::CloseApplied => "待结案审核",
        Status::Closed => "已结案",
        Status::Rejected => "不违法",
        Status::Duplicate => "重复",
        Status::Transferred => "已移送",
    }
}

/// The whole document.
pub fn markdown() -> String {
    let mut text = String::from(
        "# The way of a case\n\n\
         Made from `enforcement::workflow::RULES`; a test holds the two equal \
         (`XUNCHA_WRITE_DOCS=1 cargo test --lib workflow` writes it anew).\n\n\
         Each may act in the own area only; the responsible person also outside it. Every step has \
         the server's and the device's time, and may carry a position, a text and attachments. \
         Where a state leads elsewhere than to itself, the new one is in bold.\n\n",
    );
    text.push_str("| action | 中文 | who | needs |");
    for status in Status::ALL {
        text.push_str(&format!(" {} {} |", status.as_str(), status_zh(*status)));
    }
    text.push_str("\n|---|---|---|---|");
    text.push_str(&"---|".repeat(Status::ALL.len()));
    text.push('\n');
    for rule in &RULES {
        let who: Vec<&str> = rule.who.iter().map(|who| who.names().1).collect();
        let needs: Vec<&str> = rule.needs.iter().map(|need| need.names().1).collect();
        text.push_str(&format!(
            "| `{}` {} | {} | {} | {} |",
            rule.action.as_str(),
            rule.en,
            rule.zh,
            who.join(", "),
            needs.join(", "),
        ));
        for status in Status::ALL {
            if !rule.from.contains(status) {
                text.push_str(" – |");
                continue;
            }
            let to = match rule.to {
                To::OnSiteIfDispatched if *status == Status::Dispatched => Status::OnSite,
                To::Same | To::OnSiteIfDispatched => *status,
                To::Is(to) => to,
                To::BeforeApplication => {
                    text.push_str(" **stopped** or **demolishing** |");
                    continue;
                }
            };
            if to == *status {
                text.push_str(" ✓ |");
            } else {
                text.push_str(&format!(" **{}** |", to.as_str()));
            }
        }
        text.push('\n');
    }
    text
}
