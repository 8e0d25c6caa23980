//! The events that trigger a reconciliation of an image, and input that does not.

use ami_share_domain::trigger::Trigger;
use ami_share_testkit::ids::{id, now};
use ami_share_testkit::json::values;
use proptest::prelude::*;
use serde_json::{Value, json};

const IMAGE: &str = "ami-0abcdef1234567890";

fn trigger(event: &Value) -> Option<Trigger> {
    Trigger::from_event(event, now()).ok()
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/monitor-ami-events.html>
fn state_change() -> Value {
    json!({
        "id": "e-1", "detail-type": "EC2 AMI State Change", "source": "aws.ec2",
        "time": "2026-05-01T00:00:00Z",
        "resources": [format!("arn:aws:ec2:eu-west-1::image/{IMAGE}")],
        "detail": { "RequestId": "r-1", "ImageId": IMAGE, "State": "available", "ErrorMessage": "" },
    })
}

/// <https://docs.aws.amazon.com/tag-editor/latest/userguide/monitor-tag-changes.html>
fn tag_change() -> Value {
    json!({
        "id": "e-2", "detail-type": "Tag Change on Resource", "source": "aws.tag",
        "time": "2026-05-01T00:00:00Z",
        "resources": [format!("arn:aws:ec2:eu-west-1:111122223333:image/{IMAGE}")],
        "detail": {
            "changed-tag-keys": ["ami-share:with"], "service": "ec2", "resource-type": "image", "version": 1,
            "tags": { "ami-share:with": "222222222222" },
        },
    })
}

/// <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-service-event-cloudtrail.html>
fn api_call(name: &str) -> Value {
    json!({
        "id": "e-3", "detail-type": "AWS API Call via CloudTrail", "source": "aws.ec2",
        "time": "2026-05-01T00:00:00Z",
        "detail": {
            "eventSource": "ec2.amazonaws.com", "eventName": name,
            "userIdentity": { "type": "AssumedRole", "arn": "arn:aws:sts::111122223333:assumed-role/bake/run" },
            "responseElements": { "imageId": IMAGE },
        },
    })
}

#[test]
fn every_event_that_the_rules_match_names_its_image_and_its_time() {
    for event in [
        state_change(),
        tag_change(),
        api_call("CreateImage"),
        api_call("CopyImage"),
        api_call("RegisterImage"),
    ] {
        let trigger = trigger(&event).unwrap();
        assert_eq!(trigger.image.as_str(), IMAGE, "{event}");
        assert_eq!(trigger.triggered_by.event, event["id"]);
        assert_eq!(trigger.triggered_by.at.to_string(), "2026-05-01T00:00:00Z");
        assert!(!trigger.dry_run);
    }
}

#[test]
fn only_cloudtrail_names_the_triggering_principal() {
    assert_eq!(trigger(&state_change()).unwrap().triggered_by.principal, None);
    assert_eq!(trigger(&tag_change()).unwrap().triggered_by.principal, None);
    for request in [
        json!({ "tagSpecificationSet": { "items": [
            { "resourceType": "image", "tags": [{ "key": "ami-share:with", "value": "222222222222" }] },
        ] } }),
        json!({ "copyImageTags": true }),
    ] {
        let mut event = api_call("CopyImage");
        event["detail"]["requestParameters"] = request;
        let by = trigger(&event).unwrap().triggered_by.principal;
        assert_eq!(by.as_deref(), Some("arn:aws:sts::111122223333:assumed-role/bake/run"));
    }
}

#[test]
fn the_creator_of_an_image_without_ami_share_tags_is_not_the_triggering_principal() {
    for request in [json!(null), json!({ "name": "golden" }), json!({ "copyImageTags": false })] {
        let mut event = api_call("RegisterImage");
        event["detail"]["requestParameters"] = request;
        assert_eq!(trigger(&event).unwrap().triggered_by.principal, None);
    }
}

#[test]
fn a_bare_image_id_is_enough_and_may_ask_for_a_dry_run() {
    let trigger = trigger(&json!({ "image_id": IMAGE, "dry_run": true })).unwrap();
    assert_eq!((trigger.image.as_str(), trigger.dry_run), (IMAGE, true));
    assert_eq!((trigger.triggered_by.event.as_str(), trigger.triggered_by.at), ("", now()));
}

#[test]
fn an_event_without_an_image_where_its_kind_has_it_is_refused() {
    let mut failed_call = api_call("CreateImage");
    failed_call["detail"]["responseElements"] = Value::Null;
    let mut other_resource = tag_change();
    other_resource["resources"] = json!(["arn:aws:ec2:eu-west-1:111122223333:instance/i-0abcdef1234567890"]);
    let mut malformed = state_change();
    malformed["detail"]["ImageId"] = json!("ami-");
    let mut wrong_place = state_change();
    wrong_place["detail"] = json!({ "imageId": IMAGE });
    for event in [failed_call, other_resource, malformed, wrong_place, json!({}), json!(null), json!([IMAGE])]
    {
        let error = Trigger::from_event(&event, now()).unwrap_err();
        assert!(error.to_string().starts_with("the event names no image: expected"), "{event}");
    }
}

#[test]
fn a_schedule_names_the_time_that_counts_as_now() {
    let moment = "2026-06-01T12:00:30Z";
    let trigger = trigger(&json!({ "image_id": IMAGE, "not_before": moment })).unwrap();
    assert_eq!(trigger.not_before, Some(id(moment)));
    assert_eq!(trigger.now(now()), id(moment), "the clock of this machine is slow");
    assert_eq!(
        trigger.now(id("2026-06-02T00:00:00Z")),
        id("2026-06-02T00:00:00Z"),
        "never earlier than the present"
    );
    let unreadable = self::trigger(&json!({ "image_id": IMAGE, "not_before": "soon" })).unwrap();
    assert_eq!((unreadable.not_before, unreadable.now(now())), (None, now()));
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyImageAttribute.html>
#[test]
fn the_principal_of_an_out_of_band_change_is_known_but_is_not_the_triggering_principal() {
    let mut event = api_call("ModifyImageAttribute");
    event["detail"]["responseElements"] = json!({ "_return": true });
    event["detail"]["requestParameters"] = json!({
        "imageId": IMAGE, "attributeType": "launchPermission",
        "launchPermission": { "add": { "items": [{ "group": "all" }] } },
    });
    let changed = trigger(&event).unwrap();
    assert_eq!(changed.image.as_str(), IMAGE);
    let by = Some("arn:aws:sts::111122223333:assumed-role/bake/run");
    assert_eq!((changed.changed_by.as_deref(), changed.triggered_by.principal), (by, None));
    for event in [state_change(), tag_change(), api_call("CreateImage")] {
        assert_eq!(trigger(&event).unwrap().changed_by, None);
    }
    let review = trigger(&json!({ "image_id": IMAGE, "changed_by": "eve" })).unwrap();
    assert_eq!(review.changed_by.as_deref(), Some("eve"));
}

#[test]
fn only_a_trigger_that_says_so_adopts_or_rereads_the_organization() {
    let trigger = |event| {
        let Trigger { adopt, organization_changed_at, dry_run, .. } = trigger(&event).unwrap();
        (adopt, organization_changed_at.is_some(), dry_run)
    };
    assert_eq!(trigger(json!({ "image_id": IMAGE })), (false, false, false));
    assert_eq!(trigger(json!({ "image_id": IMAGE, "adopt": true })), (true, false, false));
    assert_eq!(
        trigger(json!({ "image_id": IMAGE, "organization_changed_at": "2026-06-01T12:00:10Z" })),
        (false, true, false)
    );
    assert_eq!(trigger(json!({ "image_id": IMAGE, "adopt": "true", "dry_run": 1 })), (false, false, false));
    assert_eq!(trigger(tag_change()), (false, false, false));
}

proptest! {
    #[test]
    fn arbitrary_json_never_panics_and_names_no_image(json in values()) {
        let event: Value = serde_json::from_str(&json.compact()).unwrap();
        prop_assert!(trigger(&event).is_none());
        for pointer in ["detail", "resources", "time", "id"] {
            let mut damaged = state_change();
            damaged[pointer] = event.clone();
            let _ = trigger(&damaged);
        }
    }
}
