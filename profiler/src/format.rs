//! The formats of other tools: the one list of them; a leaf.
//!
//! In: nothing. Out: [`ExportFormat`], and [`each_export`], by which `export` takes the file of every row. Whoever adds a
//! format adds a file to `export` and a row here.

/// Calls a macro with all formats in the order they are listed: `Type name "what opens it"`.
macro_rules! each_export {
    ($then:ident) => {
        $then! {
            Pprof pprof "go tool pprof, Pyroscope, Parca";
            Speedscope speedscope "speedscope.app";
            Firefox firefox "profiler.firefox.com";
            Trace trace "ui.perfetto.dev, chrome://tracing";
            Openmetrics openmetrics "Prometheus, by promtool";
            Otlp otlp "collectors of OpenTelemetry; experimental";
            Csv csv "spreadsheets, DuckDB";
            Ndjson ndjson "jq, DuckDB";
        }
    };
}
pub(crate) use each_export;

macro_rules! list {
    ($($format:ident $name:ident $opens:literal;)*) => {
        /// A format of another tool.
        #[expect(missing_docs, reason = "the file of each format opens with what it is")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum ExportFormat { $($format,)* }

        impl ExportFormat {
            /// All of them, in the order they are listed.
            pub const ALL: &'static [Self] = &[$(Self::$format,)*];

            /// The one name: of the option and of the file.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$format => stringify!($name),)* }
            }

            /// What opens it.
            pub const fn opens(self) -> &'static str {
                match self { $(Self::$format => $opens,)* }
            }
        }
    };
}

each_export!(list);

impl ExportFormat {
    /// Whether it shows pictures, so that one of them may be chosen.
    pub const fn has_pictures(self) -> bool {
        matches!(self, Self::Pprof | Self::Speedscope | Self::Firefox | Self::Otlp)
    }

    /// The format of a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|format| format.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_finds_its_format() {
        for format in ExportFormat::ALL {
            assert_eq!(ExportFormat::named(format.name()), Some(*format));
        }
        assert_eq!(ExportFormat::named("pdf"), None);
    }
}
