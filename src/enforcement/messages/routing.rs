//! Whom settings add to the recipients of an event, and on which ways messages leave the house.

use super::kind::Kind;
use super::notice::Recipients;
use crate::enforcement::dispatch::PlaceCodes;
use crate::enforcement::settings::{Channel, StandingRecipient, Webhook};

/// Whom standing recipients add for an event at a place. The city's are told of what has no place.
pub fn standing(
    recipients: &[StandingRecipient],
    kind: Kind,
    place: &PlaceCodes,
) -> Vec<Recipients> {
    let levels = [&place.city, &place.district, &place.town, &place.village];
    let here: Vec<&String> = levels.into_iter().flatten().chain(&place.functional_areas).collect();
    let holds = |area: &String| match here.is_empty() {
        true => area.len() == 6 && area.ends_with("00"),
        false => here.contains(&area),
    };
    let told = recipients.iter().filter(|one| one.kind == kind.as_str() && holds(&one.area));
    told.flat_map(|one| {
        let person = one.person.map(Recipients::Person);
        let department = one
            .department
            .as_ref()
            .map(|name| Recipients::Department { area: one.area.clone(), name: name.clone() });
        person.into_iter().chain(department)
    })
    .collect()
}

/// The channels by which a kind of message leaves the house.
pub fn channels(webhook: &Webhook, kind: Kind) -> &[Channel] {
    let chosen = webhook.kinds.is_empty() || webhook.kinds.iter().any(|k| k == kind.as_str());
    if webhook.url.is_some() && chosen { &webhook.channels } else { &[] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn standing_recipients_are_told_of_their_area_and_kind() {
        let one = |person: Option<Uuid>, department: Option<&str>| StandingRecipient {
            kind: "alarm".into(),
            area: "350302".into(),
            person,
            department: department.map(String::from),
        };
        let list = [one(Some(Uuid::from_u128(1)), None), one(None, Some("自然资源局"))];
        let place = |district: &str| PlaceCodes {
            city: Some("350300".into()),
            district: Some(district.into()),
            ..PlaceCodes::default()
        };
        assert_eq!(standing(&list, Kind::Alarm, &place("350302")).len(), 2);
        assert!(standing(&list, Kind::Closed, &place("350302")).is_empty());
        assert!(standing(&list, Kind::Alarm, &place("350303")).is_empty());
        assert!(standing(&list, Kind::Alarm, &PlaceCodes::default()).is_empty());
        let city = [StandingRecipient { area: "350300".into(), ..list[0].clone() }];
        assert_eq!(standing(&city, Kind::Alarm, &PlaceCodes::default()).len(), 1);
    }

    #[test]
    fn all_kinds_leave_the_house_unless_some_are_chosen() {
        let mut webhook = Webhook { url: Some("https://sms.example".into()), ..Webhook::default() };
        assert_eq!(channels(&webhook, Kind::Closed), [Channel::Sms]);
        webhook.kinds = vec!["alarm".into()];
        assert!(channels(&webhook, Kind::Closed).is_empty());
        webhook.channels = vec![Channel::Sms, Channel::Email];
        assert_eq!(channels(&webhook, Kind::Alarm).len(), 2);
        webhook.url = None;
        assert!(channels(&webhook, Kind::Alarm).is_empty());
    }
}
