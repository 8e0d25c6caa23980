//! Events that trigger a reconciliation, and everything that does not.

use ami_share_domain::trigger::{Cause, Trigger};
use ami_share_lambda::events::{ReconcileRequest, RunOptions, TriggerEvent};
use ami_share_testkit::ids::{id, now};
use ami_share_testkit::json::values;
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{IMAGE, example, trigger};

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
fn an_event_without_a_time_happened_now_and_one_without_an_id_has_none() {
    for mut event in [state_change(), tag_change(), api_call("CreateImage")] {
        let fields = event.as_object_mut().unwrap();
        assert!(fields.remove("time").is_some() && fields.remove("id").is_some());
        let triggered_by = trigger(&event).unwrap().triggered_by;
        assert_eq!((triggered_by.event.as_str(), triggered_by.at), ("", now()));
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
        json!({ "copyImageTags": "true" }),
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
    assert_eq!(trigger.cause, Cause::Request);
}

#[test]
fn an_event_that_is_sent_again_may_ask_for_a_dry_run() {
    for mut event in [state_change(), tag_change(), api_call("CreateImage")] {
        event["dry_run"] = json!(true);
        assert!(trigger(&event).unwrap().dry_run, "{event}");
    }
}

#[test]
fn an_event_without_an_image_where_its_kind_has_it_is_refused() {
    let mut failed_call = api_call("CreateImage");
    failed_call["detail"]["responseElements"] = Value::Null;
    let mut other_resource = tag_change();
    other_resource["resources"] = json!(["arn:aws:ec2:eu-west-1:111122223333:instance/i-0abcdef1234567890"]);
    let mut no_resource = tag_change();
    no_resource["resources"] = json!([]);
    let mut malformed = state_change();
    malformed["detail"]["ImageId"] = json!("ami-");
    let mut wrong_place = state_change();
    wrong_place["detail"] = json!({ "imageId": IMAGE });
    let mut no_detail = state_change();
    no_detail["detail"] = json!(null);
    for (event, reason) in [
        (failed_call, "neither its request nor its response names an image"),
        (
            other_resource,
            "`arn:aws:ec2:eu-west-1:111122223333:instance/i-0abcdef1234567890` is not the ARN of an image",
        ),
        (no_resource, "it names no resource"),
        (malformed, "`ami-` is not an"),
        (wrong_place, "missing field `ImageId`"),
        (no_detail, "invalid type: null"),
        (json!({}), "missing field `image_id`"),
        (json!({ "detail-type": "Something Else" }), "missing field `image_id`"),
        (json!({ "image_id": 1 }), "invalid type: integer `1`, expected a string"),
        (json!(null), "invalid type: null"),
        (json!([IMAGE]), "invalid type: sequence"),
    ] {
        let error = TriggerEvent::read(&event, now()).unwrap_err().to_string();
        assert!(error.starts_with("the event names no image: expected"), "{event}");
        assert!(error.contains(reason), "{error}");
        let detail_type = event.get("detail-type").and_then(Value::as_str).unwrap_or_default();
        assert!(error.contains(&format!("got detail-type `{detail_type}`")), "{error}");
        // What the function itself is invoked with says the same.
        assert_eq!(TriggerEvent::deserialize(&event).unwrap_err().to_string(), error);
    }
}

#[test]
fn what_only_adds_to_a_trigger_may_be_missing_or_odd() {
    let mut tags = tag_change();
    tags["detail"]["version"] = json!("three");
    tags["detail"]["tags"] = json!(null);
    let cause = Cause::TagsChanged { tags: [].into(), version: None };
    assert_eq!(trigger(&tags).unwrap().cause, cause);
    let mut state = state_change();
    state["detail"] = json!({ "ImageId": IMAGE });
    assert_eq!(trigger(&state).unwrap().cause, Cause::ImageState { state: String::new() });
    let mut call = api_call("CreateImage");
    call["detail"]["userIdentity"] = json!("AWS Internal");
    call["detail"]["requestParameters"] = json!("too large");
    assert_eq!(trigger(&call).unwrap().cause, Cause::ApiCall { name: "CreateImage".to_owned(), by: None });
}

#[test]
fn a_schedule_names_the_time_that_counts_as_now() {
    let moment = "2026-06-01T12:00:30Z";
    let trigger = trigger(&json!({ "image_id": IMAGE, "not_before": moment })).unwrap();
    assert_eq!(trigger.not_before, Some(id(moment)));
    assert_eq!(trigger.now(now()), id(moment), "this machine's clock is behind");
    assert_eq!(
        trigger.now(id("2026-06-02T00:00:00Z")),
        id("2026-06-02T00:00:00Z"),
        "never earlier than it is"
    );
    let unreadable = crate::trigger(&json!({ "image_id": IMAGE, "not_before": "soon" })).unwrap();
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

#[test]
fn a_request_is_written_as_its_example_and_reads_back_in_full() {
    let bare = ReconcileRequest::new(id(IMAGE));
    assert_eq!(serde_json::to_value(&bare).unwrap(), example("reconcile-image.json"));
    let options = RunOptions { not_before: Some(id("2026-12-31T23:59:59Z")), ..RunOptions::default() };
    let scheduled = ReconcileRequest { options, ..bare };
    assert_eq!(serde_json::to_value(&scheduled).unwrap(), example("reconcile-image-not-before.json"));
    let full = ReconcileRequest {
        id: "e-1".to_owned(),
        time: Some(now()),
        changed_by: Some("eve".to_owned()),
        options: RunOptions {
            organization_changed_at: Some(now()),
            dry_run: true,
            adopt: true,
            ..scheduled.options
        },
        ..scheduled
    };
    let written = serde_json::to_value(&full).unwrap();
    assert_eq!(ReconcileRequest::deserialize(&written).unwrap(), full);
    let read = trigger(&written).unwrap();
    assert_eq!((read.triggered_by.event.as_str(), read.triggered_by.at), ("e-1", now()));
    assert!(read.dry_run && read.adopt && read.organization_changed_at == Some(now()));
}

/// The end of a share: `schedule-expiry` makes the schedule, whose input starts the workflow.
#[test]
fn an_expiry_schedule_starts_a_reconciliation_at_the_end_of_the_share() {
    let trigger = trigger(&example("reconcile-image-not-before.json")).unwrap();
    let share = &example("schedule-expiry.json")["share"].to_string();
    assert!(share.contains(&format!("\"id\":\"{}\"", trigger.image)));
    assert!(share.contains(&format!("\"until\":\"{}\"", trigger.now(now()))));
}

/// The input that the review workflow starts the share workflow with.
#[test]
fn an_image_that_differs_from_its_tags_is_reconciled_for_the_review() {
    let page = example("review-shares-page.json");
    let Trigger { image, triggered_by, adopt, organization_changed_at, .. } =
        trigger(&page["state"]["differing"][0]).unwrap();
    assert_eq!(
        (image.as_str(), triggered_by.event.as_str()),
        (IMAGE, page["state"]["review_id"].as_str().unwrap())
    );
    assert!(!adopt && organization_changed_at.is_none());
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
