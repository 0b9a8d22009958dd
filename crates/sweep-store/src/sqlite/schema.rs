//! Tables, indexes and the versions they went through.

/// Marks the file as ours (`swep`), so that no other database is written to by mistake.
pub(super) const APPLICATION_ID: i32 = 0x7377_6570;

/// Step `i` leads from version `i` to `i + 1`. Never edited once released; a change is a new step.
pub(super) const MIGRATIONS: [&str; 2] = [V1, V2];
/// Files from this version on can be read without a migration.
pub(super) const READABLE: usize = 1;

/// States are one letter: q l d s f c. Times are ms since the epoch, fences µs or one more than the last.
///
/// What fair share calls *scheduled* (`sweep.sched`) is kept only to know when a sweep *enters*; picking looks at the line itself.
const V1: &str = "
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;

CREATE TABLE sweep (
  id TEXT PRIMARY KEY, name TEXT NOT NULL, weight REAL NOT NULL, band INTEGER NOT NULL, cap INTEGER,
  state TEXT NOT NULL, round INTEGER NOT NULL, sealed INTEGER NOT NULL,
  sched INTEGER NOT NULL DEFAULT 0, vtime REAL NOT NULL DEFAULT 0, seconds REAL NOT NULL DEFAULT 0, ended INTEGER NOT NULL DEFAULT 0,
  q INTEGER NOT NULL DEFAULT 0, l INTEGER NOT NULL DEFAULT 0, d INTEGER NOT NULL DEFAULT 0,
  s INTEGER NOT NULL DEFAULT 0, f INTEGER NOT NULL DEFAULT 0, c INTEGER NOT NULL DEFAULT 0,
  walk_ord INTEGER, walk_run TEXT, walk_retry INTEGER NOT NULL DEFAULT 0,
  submissions TEXT NOT NULL, reports INTEGER NOT NULL DEFAULT 0, created INTEGER NOT NULL);
CREATE INDEX sweep_walk ON sweep (id) WHERE walk_ord IS NOT NULL;

-- Apart, for a sweep's row changes with every run and the document does not.
CREATE TABLE document (sweep TEXT PRIMARY KEY, body TEXT NOT NULL);

CREATE TABLE run (
  id TEXT PRIMARY KEY, spec TEXT NOT NULL, st TEXT NOT NULL, home TEXT NOT NULL, ord INTEGER NOT NULL, front INTEGER NOT NULL DEFAULT 0,
  fence INTEGER, ended_by INTEGER, attempts INTEGER NOT NULL DEFAULT 0, errors INTEGER NOT NULL DEFAULT 0,
  losses INTEGER NOT NULL DEFAULT 0, stuck INTEGER NOT NULL DEFAULT 0, yields INTEGER NOT NULL DEFAULT 0,
  worker TEXT, slot INTEGER, since INTEGER, expires INTEGER, due INTEGER,
  checkpoint TEXT, previous TEXT, error TEXT, step INTEGER NOT NULL DEFAULT 0, charged REAL NOT NULL DEFAULT 0);
CREATE INDEX run_line ON run (home, front DESC, ord, id) WHERE st = 'q';
CREATE INDEX run_lease ON run (expires) WHERE st = 'l';
CREATE INDEX run_delay ON run (due) WHERE st = 'd';

CREATE TABLE member (sweep TEXT NOT NULL, ord INTEGER NOT NULL, run TEXT NOT NULL, PRIMARY KEY (sweep, ord, run)) WITHOUT ROWID;
CREATE UNIQUE INDEX member_run ON member (run, sweep);

CREATE TABLE live (run TEXT NOT NULL, epoch INTEGER NOT NULL, metrics TEXT NOT NULL, PRIMARY KEY (run, epoch)) WITHOUT ROWID;

CREATE TABLE result (run TEXT PRIMARY KEY, fence INTEGER NOT NULL, body TEXT NOT NULL);

CREATE TABLE attempt (
  run TEXT NOT NULL, attempt INTEGER NOT NULL, fence INTEGER NOT NULL, worker TEXT NOT NULL, slot INTEGER NOT NULL,
  device TEXT NOT NULL, started INTEGER NOT NULL, ended INTEGER, ending TEXT, error TEXT, log TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (run, attempt));

CREATE TABLE worker (
  worker TEXT NOT NULL, slot INTEGER NOT NULL, device TEXT NOT NULL, seen INTEGER NOT NULL,
  request INTEGER NOT NULL, run TEXT, fence INTEGER, PRIMARY KEY (worker, slot)) WITHOUT ROWID;
CREATE INDEX worker_seen ON worker (seen);
CREATE TABLE drain (worker TEXT PRIMARY KEY, since INTEGER NOT NULL) WITHOUT ROWID;

CREATE TABLE ev (seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, body TEXT NOT NULL);
";

/// Affinity: the key of a run's pictures, none for runs submitted before, and how often the first run of a sweep's line was passed
/// over.
const V2: &str = "
ALTER TABLE run ADD COLUMN data TEXT;
ALTER TABLE sweep ADD COLUMN skipped INTEGER NOT NULL DEFAULT 0;
";
