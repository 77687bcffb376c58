//! Content types by the end of a name, for objects that come from where there are none.

/// The content type of a name, or None where none is common.
pub fn content_type(key: &str) -> Option<&'static str> {
    let name = key.rsplit('/').next().unwrap_or(key);
    let (_, end) = name.rsplit_once('.')?;
    let end = end.to_ascii_lowercase();
    TABLE.iter().find(|(ends, _)| ends.split(' ').any(|one| one == end)).map(|(_, kind)| *kind)
}

const TABLE: &[(&str, &str)] = &[
    ("txt text log conf ini", "text/plain"),
    ("csv", "text/csv"),
    ("tsv", "text/tab-separated-values"),
    ("html htm", "text/html"),
    ("css", "text/css"),
    ("md markdown", "text/markdown"),
    ("js mjs", "text/javascript"),
    ("json", "application/json"),
    ("jsonl ndjson", "application/x-ndjson"),
    ("xml", "application/xml"),
    ("yaml yml", "application/yaml"),
    ("toml", "application/toml"),
    ("sql", "application/sql"),
    ("pdf", "application/pdf"),
    ("parquet", "application/vnd.apache.parquet"),
    ("avro", "application/avro"),
    ("arrow", "application/vnd.apache.arrow.file"),
    ("gz tgz", "application/gzip"),
    ("zst", "application/zstd"),
    ("zip", "application/zip"),
    ("tar", "application/x-tar"),
    ("bz2", "application/x-bzip2"),
    ("xz", "application/x-xz"),
    ("7z", "application/x-7z-compressed"),
    ("wasm", "application/wasm"),
    ("doc", "application/msword"),
    ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    ("xls", "application/vnd.ms-excel"),
    ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ("ppt", "application/vnd.ms-powerpoint"),
    ("pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
    ("png", "image/png"),
    ("jpg jpeg", "image/jpeg"),
    ("gif", "image/gif"),
    ("webp", "image/webp"),
    ("avif", "image/avif"),
    ("svg", "image/svg+xml"),
    ("bmp", "image/bmp"),
    ("tif tiff", "image/tiff"),
    ("ico", "image/vnd.microsoft.icon"),
    ("mp3", "audio/mpeg"),
    ("wav", "audio/wav"),
    ("ogg oga", "audio/ogg"),
    ("flac", "audio/flac"),
    ("mp4 m4v", "video/mp4"),
    ("webm", "video/webm"),
    ("mov", "video/quicktime"),
    ("mkv", "video/x-matroska"),
    ("woff", "font/woff"),
    ("woff2", "font/woff2"),
    ("ttf", "font/ttf"),
    ("otf", "font/otf"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_name_tells_its_kind() {
        assert_eq!(content_type("a.b/c.CSV"), Some("text/csv"));
        assert_eq!(content_type("x.tar.gz"), Some("application/gzip"));
        assert_eq!(content_type("a.csv/c"), None);
        assert_eq!(content_type("x.unheard-of"), None);
    }
}
