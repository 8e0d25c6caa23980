//! The format of a log line: one JSON object with the fields of the line and of all spans around it.
//!
//! `image`, `execution` and `request` are top-level fields, where CloudWatch Logs Insights and Lambda's filters find
//! them, and have the same names as in the documents of the metrics. See ADR 14.

use std::fmt;

use jiff::Timestamp;
use serde_json::{Map, Value};
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{JsonFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields, MakeWriter};
use tracing_subscriber::registry::LookupSpan;

/// Writes log lines to the standard output, from the level in `RUST_LOG` on.
pub(crate) fn init() {
    tracing::subscriber::set_global_default(subscriber(EnvFilter::from_default_env(), std::io::stdout))
        .unwrap_or_else(|error| eprintln!("the log was set up before: {error}"));
}

fn subscriber<W>(filter: EnvFilter, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    tracing_subscriber::fmt()
        .fmt_fields(JsonFields::new())
        .event_format(FlatJson)
        .with_env_filter(filter)
        .with_writer(writer)
        .finish()
}

/// A field of an inner span replaces one of the same name of an outer span, and a field of the line replaces both.
struct FlatJson;

impl<S, N> FormatEvent<S, N> for FlatJson
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut own = String::new();
        context.format_fields(Writer::new(&mut own), event)?;
        let metadata = event.metadata();
        let mut line = Map::new();
        line.insert("timestamp".to_owned(), Timestamp::now().to_string().into());
        line.insert("level".to_owned(), metadata.level().as_str().into());
        let mut own = object(&own);
        line.extend(own.shift_remove_entry("message"));
        line.insert("target".to_owned(), metadata.target().into());
        for span in context.event_scope().into_iter().flat_map(|scope| scope.from_root()) {
            let extensions = span.extensions();
            line.extend(
                extensions.get::<FormattedFields<N>>().map(|fields| object(fields)).unwrap_or_default(),
            );
        }
        line.extend(own);
        writeln!(writer, "{}", Value::Object(line))
    }
}

/// The fields as an object: `JsonFields` formats them as one.
fn object(fields: &str) -> Map<String, Value> {
    serde_json::from_str(fields).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use serde_json::json;

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn lines(filter: &str, log: impl FnOnce()) -> Vec<Value> {
        let written = Written::default();
        let writer = written.clone();
        let subscriber = subscriber(EnvFilter::new(filter), move || writer.clone());
        tracing::subscriber::with_default(subscriber, log);
        let written = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        written.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_log_line_contains_the_fields_of_its_enclosing_spans() {
        let lines = lines("info", || {
            let outer =
                tracing::error_span!("invocation", request = "r-1", image = "ami-1", review = None::<&str>);
            let _outer = outer.enter();
            tracing::info!(targets = 2, "resolved");
            let inner = tracing::error_span!("image", image = "ami-2");
            let _inner = inner.enter();
            tracing::warn!("differs \"much\"\n");
        });
        assert_eq!(lines.len(), 2);
        let expected = json!({ "level": "INFO", "message": "resolved", "request": "r-1", "image": "ami-1", "targets": 2 });
        for (name, value) in expected.as_object().unwrap() {
            assert_eq!(lines[0][name], *value, "{}", lines[0]);
        }
        assert_eq!(lines[0].get("review"), None);
        assert!(lines[0]["timestamp"].as_str().unwrap().parse::<Timestamp>().is_ok());
        assert_eq!((&lines[1]["image"], &lines[1]["request"]), (&json!("ami-2"), &json!("r-1")));
        assert_eq!(lines[1]["message"], "differs \"much\"\n");
    }

    #[test]
    fn at_the_error_level_a_line_still_contains_the_fields_of_its_span() {
        let lines = lines("error", || {
            let _span = tracing::error_span!("invocation", request = "r-1").entered();
            tracing::info!("below the level");
            tracing::error!("broken");
        });
        assert_eq!(lines.len(), 1);
        assert_eq!((&lines[0]["message"], &lines[0]["request"]), (&json!("broken"), &json!("r-1")));
    }
}
