//! Going on with what a killed run has left.

use super::tests::{body, go, request};
use crate::fake::Fake;
use crate::journal::{Journal, Left, MadeOf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use windlass_s3::{ObjectAccess as _, PutOptions, Upload};
use windlass_types::{ObjectPath, Result};

/// One upload that another run has left.
#[derive(Debug)]
struct LeftBehind {
    left: std::sync::Mutex<Option<Left>>,
    ended: AtomicUsize,
}

#[async_trait::async_trait]
impl Journal for LeftBehind {
    async fn take(&self, _: &ObjectPath, _: &MadeOf) -> Result<Vec<Left>> {
        Ok(self.left.lock().unwrap().take().into_iter().collect())
    }

    async fn begins(&self, _: &ObjectPath, _: &MadeOf) -> Result<()> {
        Ok(())
    }

    async fn not_begun(&self, _: &ObjectPath) -> Result<()> {
        Ok(())
    }

    async fn begun(&self, _: &Upload, _: &MadeOf) -> Result<()> {
        Ok(())
    }

    async fn ended(&self, _: &Upload) -> Result<()> {
        self.ended.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

#[tokio::test]
async fn a_copy_in_parts_inside_a_service_goes_on_where_a_killed_run_was() {
    for (same, copied_after) in [(true, 5), (false, 8)] {
        let one = Fake::with("one", |fake| fake.group = Some("s".into()));
        one.set("a/large", body(5000, 1));
        let etag = one.get_now("a/large").unwrap().meta.etag;
        let path = |key: &str| ObjectPath { bucket: "b".into(), key: key.into() };
        let upload = one.create_upload(&path("b/large"), PutOptions::default()).await.unwrap();
        for number in [1, 2, 5] {
            let offset = (u64::try_from(number).unwrap() - 1) * 700;
            one.copy_part(&path("a/large"), offset, 700, etag.as_deref(), &upload, number)
                .await
                .unwrap();
        }
        let journal = Arc::new(LeftBehind {
            left: std::sync::Mutex::new(Some(Left { upload, same })),
            ended: AtomicUsize::new(0),
        });
        let mut request = request(one.side("a/"), one.side("b/"));
        request.journal = Some(Arc::clone(&journal) as _);
        let (summary, _) = go(request).await;
        assert_eq!(summary.unwrap().copied, 1);
        assert_eq!(one.count("copy_part"), 3 + copied_after);
        assert_eq!(one.get_now("b/large").unwrap().bytes, body(5000, 1));
        assert_eq!(one.open_uploads(), 0, "what was of another state is given up");
        assert_eq!(journal.ended.load(Ordering::SeqCst), if same { 1 } else { 2 });
    }
}
