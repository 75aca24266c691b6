//! Verifies the store: owners, histories, evidence, the audit chain, and that what belongs
//! together is together. Changes nothing, and works while the service runs.

use super::Store;
use super::audit::{self, AuditRow, Head};
use super::blobs::Blobs;
use super::schema::{audit as trail, audit_chain};
use crate::error::{Fault, FaultKind, Result};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};
use rayon::prelude::*;
use serde::Serialize;

/// Everything of one kind that is wrong.
#[derive(Debug, Clone, Serialize)]
pub struct FaultClass {
    /// Stable, for programs.
    pub code: &'static str,
    pub count: i64,
    pub zh: String,
    pub en: String,
    /// Some of them: case numbers, hashes, rows.
    pub examples: Vec<String>,
}

/// What was looked at, and what is wrong.
#[derive(Debug, Clone, Serialize)]
pub struct CheckReport {
    pub cases: i64,
    pub events: i64,
    /// Open cases without an owner because nobody is named for the place or they have none, as
    /// they say themselves; they are the city's.
    pub without_owner_by_rule: i64,
    pub attachments: i64,
    pub attachment_bytes: i64,
    pub audit_rows: i64,
    /// The end of the audit chain, `seq:hash`: written down elsewhere, it proves a later chain.
    pub audit_head: String,
    pub foreign_keys: i64,
    pub faults: Vec<FaultClass>,
}

impl CheckReport {
    pub fn is_clean(&self) -> bool {
        self.faults.is_empty()
    }
}

/// Examples kept of a class.
const EXAMPLES: i64 = 10;

/// Checks everything. `noted` is a head of the audit chain that was written down earlier.
pub fn check(store: &Store, blobs: &Blobs, noted: Option<&Head>) -> Result<CheckReport> {
    audit::seal(store)?;
    let mut conn = store.owner_conn()?;
    let (mut report, evidence) = conn
        .build_transaction()
        .repeatable_read()
        .read_only()
        .run(|conn| in_snapshot(conn, noted))?;
    report.faults.extend(evidence_faults(blobs, &evidence));
    report.faults.sort_by_key(|fault| fault.code);
    Ok(report)
}

type Evidence = (String, Vec<u8>, i64);

fn in_snapshot(
    conn: &mut PgConnection,
    noted: Option<&Head>,
) -> Result<(CheckReport, Vec<Evidence>)> {
    use super::schema::attachments as table;
    let mut faults = Vec::new();
    for query in QUERIES {
        faults.extend(query.run(conn)?);
    }
    let foreign_keys = foreign_keys(conn)?;
    for key in &foreign_keys {
        faults.extend(key.orphans(conn)?);
    }
    let (head, chain_faults) = chain(conn, noted)?;
    faults.extend(chain_faults);
    let evidence: Vec<Evidence> = table::table
        .order(table::id)
        .select((diesel::dsl::sql::<Text>("id::text"), table::sha256, table::bytes))
        .load(conn)?;
    let report = CheckReport {
        cases: number(conn, "SELECT count(*) AS value FROM cases")?,
        events: number(conn, "SELECT count(*) AS value FROM case_events")?,
        without_owner_by_rule: number(
            conn,
            "SELECT count(*) AS value FROM cases WHERE assignee_id IS NULL AND closed_at IS NULL
                AND status NOT IN ('closed', 'rejected', 'duplicate', 'transferred')
                AND responsible IS NULL",
        )?,
        attachments: evidence.len() as i64,
        attachment_bytes: evidence.iter().map(|(_, _, bytes)| bytes).sum(),
        audit_rows: number(conn, "SELECT count(*) AS value FROM audit")?,
        audit_head: head.to_string(),
        foreign_keys: foreign_keys.len() as i64,
        faults,
    };
    Ok((report, evidence))
}

fn number(conn: &mut PgConnection, query: &str) -> Result<i64> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        value: i64,
    }
    Ok(diesel::sql_query(query).get_result::<Row>(conn)?.value)
}

/// A class of faults found by a query whose one column `example` names each of them.
struct Query {
    code: &'static str,
    zh: &'static str,
    en: &'static str,
    sql: &'static str,
}

impl Query {
    fn run(&self, conn: &mut PgConnection) -> Result<Option<FaultClass>> {
        found(conn, self.code, self.zh, self.en, self.sql)
    }
}

fn found(
    conn: &mut PgConnection,
    code: &'static str,
    zh: &str,
    en: &str,
    sql: &str,
) -> Result<Option<FaultClass>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        count: i64,
        #[diesel(sql_type = Nullable<Text>)]
        example: Option<String>,
    }
    let query = format!(
        "WITH found AS ({sql}) SELECT (SELECT count(*) FROM found) AS count, example FROM found
         ORDER BY example LIMIT {EXAMPLES}"
    );
    let rows: Vec<Row> = diesel::sql_query(query).load(conn)?;
    let Some(count) = rows.first().map(|row| row.count) else { return Ok(None) };
    Ok(Some(FaultClass {
        code,
        count,
        zh: zh.into(),
        en: en.into(),
        examples: rows.into_iter().filter_map(|row| row.example).collect(),
    }))
}

const QUERIES: &[Query] = &[
    Query {
        code: "case_without_owner",
        zh: "未结案件没有责任人",
        en: "open cases lack the owner that they name",
        sql: "SELECT number AS example FROM cases
              WHERE assignee_id IS NULL AND responsible IS NOT NULL
                AND status NOT IN ('closed', 'rejected', 'duplicate', 'transferred')",
    },
    Query {
        code: "owner_has_left",
        zh: "未结案件的责任人已停用",
        en: "open cases are in the hands of somebody who has left",
        sql: "SELECT c.number AS example FROM cases c JOIN people p ON p.id = c.assignee_id
              WHERE NOT p.active
                AND c.status NOT IN ('closed', 'rejected', 'duplicate', 'transferred')",
    },
    Query {
        code: "history_missing",
        zh: "案件没有历史",
        en: "cases have no history",
        sql: "SELECT number AS example FROM cases c
              WHERE NOT EXISTS (SELECT FROM case_events e WHERE e.case_id = c.id)",
    },
    Query {
        code: "history_broken",
        zh: "案件历史不连续",
        en: "histories are not numbered 1 to n, or begin with no report",
        sql: "SELECT c.number AS example FROM cases c JOIN case_events e ON e.case_id = c.id
              GROUP BY c.id, c.number
              HAVING min(e.seq) <> 1 OR max(e.seq) <> count(*)
                  OR NOT bool_or(e.seq = 1 AND e.action IN ('report', 'imported'))",
    },
    Query {
        code: "version_differs",
        zh: "案件版本与历史不符",
        en: "versions do not agree with the histories",
        // A report and its dispatch are one version, every later step one more.
        sql: "SELECT c.number AS example FROM cases c JOIN case_events e ON e.case_id = c.id
              GROUP BY c.id, c.number, c.version
              HAVING c.version <> count(*) - count(*) FILTER (WHERE e.seq = 1 AND e.action = 'report')",
    },
    Query {
        code: "closing_differs",
        zh: "案件状态与结案时间不符",
        en: "states and closing times do not agree",
        sql: "SELECT number AS example FROM cases WHERE status = 'closed' AND closed_at IS NULL",
    },
    Query {
        code: "evidence_unknown",
        zh: "历史引用了不存在或属于其他案件的附件",
        en: "histories name evidence that is not there or belongs to another case",
        sql: "SELECT c.number || ' #' || e.seq AS example
              FROM case_events e JOIN cases c ON c.id = e.case_id, unnest(e.attachments) AS named
              WHERE NOT EXISTS (SELECT FROM attachments a WHERE a.id = named AND a.case_id = c.id)",
    },
    Query {
        code: "audit_not_sealed",
        zh: "日志记录既未封存也未排队",
        en: "rows of the audit trail are neither sealed nor waiting for it",
        sql: "SELECT a.id::text AS example FROM audit a
              WHERE NOT EXISTS (SELECT FROM audit_chain c WHERE c.audit_id = a.id)
                AND NOT EXISTS (SELECT FROM audit_unsealed u WHERE u.audit_id = a.id)",
    },
    Query {
        code: "audit_removed",
        zh: "排队封存的日志记录已被删除",
        en: "rows of the audit trail that wait for their seal are gone",
        sql: "SELECT u.audit_id::text AS example FROM audit_unsealed u
              WHERE NOT EXISTS (SELECT FROM audit a WHERE a.id = u.audit_id)",
    },
    Query {
        code: "protection_off",
        zh: "防篡改触发器被停用",
        en: "triggers that keep the histories are switched off or gone",
        sql: "SELECT kept AS example FROM unnest(ARRAY['case_events', 'audit', 'audit_chain']) AS kept
              WHERE NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = kept::regclass
                  AND t.tgname = kept || '_append_only' AND t.tgenabled IN ('O', 'A'))",
    },
    Query {
        code: "protection_open",
        zh: "服务角色可以修改历史",
        en: "the service's role may change the histories",
        sql: "SELECT kept || ' ' || right_ AS example
              FROM unnest(ARRAY['case_events', 'audit', 'audit_chain', 'attachments', 'generations']) AS kept,
                   unnest(ARRAY['UPDATE', 'DELETE', 'TRUNCATE']) AS right_
              WHERE has_table_privilege('xuncha_app', kept, right_)",
    },
];

// ------------------------------------------------------------------ foreign keys

#[derive(QueryableByName)]
struct ForeignKey {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    child: String,
    #[diesel(sql_type = Text)]
    parent: String,
    /// `c.a = p.b AND …`
    #[diesel(sql_type = Text)]
    matches: String,
    /// `c.a IS NOT NULL AND …`
    #[diesel(sql_type = Text)]
    given: String,
}

/// Every foreign key of the schema: the server checks them at each write, but not what somebody
/// did while they were off.
fn foreign_keys(conn: &mut PgConnection) -> Result<Vec<ForeignKey>> {
    Ok(diesel::sql_query(
        "SELECT k.conname::text AS name, k.conrelid::regclass::text AS child,
                k.confrelid::regclass::text AS parent,
                string_agg(format('c.%I = p.%I', a.attname, b.attname), ' AND ') AS matches,
                string_agg(format('c.%I IS NOT NULL', a.attname), ' AND ') AS given
         FROM pg_constraint k
         JOIN LATERAL unnest(k.conkey, k.confkey) AS pair(own, other) ON true
         JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = pair.own
         JOIN pg_attribute b ON b.attrelid = k.confrelid AND b.attnum = pair.other
         WHERE k.contype = 'f' AND k.connamespace = 'public'::regnamespace
         GROUP BY k.oid, k.conname, k.conrelid, k.confrelid ORDER BY 1",
    )
    .load(conn)?)
}

impl ForeignKey {
    fn orphans(&self, conn: &mut PgConnection) -> Result<Option<FaultClass>> {
        let Self { name, child, parent, matches, given } = self;
        let sql = format!(
            "SELECT '{child}: ' || left(to_jsonb(c)::text, 120) AS example FROM {child} c
             WHERE {given} AND NOT EXISTS (SELECT FROM {parent} p WHERE {matches})"
        );
        let zh = format!("{child} 中的记录引用了 {parent} 中不存在的记录（{name}）");
        let en = format!("rows of {child} refer to rows of {parent} that are not there ({name})");
        found(conn, "reference_broken", &zh, &en, &sql)
    }
}

// ------------------------------------------------------------------ audit chain

/// Rows read at once.
const BATCH: i64 = 10_000;

/// Works the chain out again from the rows, and says where it differs.
fn chain(conn: &mut PgConnection, noted: Option<&Head>) -> Result<(Head, Vec<FaultClass>)> {
    let mut faults = Vec::new();
    let mut head = Head::START;
    let mut noted_seen = noted.is_none_or(|noted| *noted == Head::START);
    loop {
        let links: Vec<(i64, i64, Vec<u8>)> = audit_chain::table
            .filter(audit_chain::seq.gt(head.seq))
            .order(audit_chain::seq)
            .limit(BATCH)
            .select((audit_chain::seq, audit_chain::audit_id, audit_chain::hash))
            .load(conn)?;
        let Some(last) = links.last().map(|(seq, ..)| *seq) else { break };
        let ids: Vec<i64> = links.iter().map(|(_, id, _)| *id).collect();
        let rows: std::collections::HashMap<i64, AuditRow> = trail::table
            .filter(trail::id.eq_any(&ids))
            .select(AuditRow::as_select())
            .load(conn)?
            .into_iter()
            .map(|row: AuditRow| (row.id, row))
            .collect();
        for (seq, id, hash) in links {
            let broken = |code, zh: String, en: String| FaultClass {
                code,
                count: 1,
                zh,
                en,
                examples: vec![format!("#{seq} → {id}")],
            };
            let expected = rows.get(&id).map(|row| head.then(row));
            if seq != head.seq + 1 {
                faults.push(broken(
                    "audit_chain_broken",
                    format!("日志链缺少第 {} 至 {} 环", head.seq + 1, seq - 1),
                    format!("links {} to {} of the audit chain are gone", head.seq + 1, seq - 1),
                ));
            } else if expected.is_none() {
                faults.push(broken(
                    "audit_removed",
                    format!("第 {id} 条日志已被删除"),
                    format!("row {id} of the audit trail has been removed"),
                ));
            } else if expected.is_some_and(|expected| expected.hash[..] != hash[..]) {
                faults.push(broken(
                    "audit_altered",
                    format!("第 {id} 条日志或其封存被篡改"),
                    format!("row {id} of the audit trail, or its seal, has been altered"),
                ));
            }
            // From here on as the chain says: one alteration is one fault.
            head = Head { seq, hash: hash.try_into().unwrap_or([0; 32]) };
            noted_seen |= noted == Some(&head);
        }
        if head.seq < last {
            return Err(Fault::internal("the audit chain cannot be read"));
        }
    }
    if !noted_seen {
        faults.push(FaultClass {
            code: "audit_head_missing",
            count: 1,
            zh: "日志链不再包含所记下的封存值：末尾被截断或整链被重写".into(),
            en: "the audit chain no longer holds the head that was written down: its end was cut \
                 off, or all of it was written anew"
                .into(),
            examples: noted.map(Head::to_string).into_iter().collect(),
        });
    }
    Ok((head, merged(faults)))
}

/// One class per code.
fn merged(faults: Vec<FaultClass>) -> Vec<FaultClass> {
    let mut classes: Vec<FaultClass> = Vec::new();
    for fault in faults {
        match classes.iter_mut().find(|class| class.code == fault.code) {
            Some(class) => {
                class.count += fault.count;
                if (class.examples.len() as i64) < EXAMPLES {
                    class.examples.extend(fault.examples);
                }
            }
            None => classes.push(fault),
        }
    }
    classes
}

// ------------------------------------------------------------------ evidence

fn evidence_faults(blobs: &Blobs, evidence: &[Evidence]) -> Vec<FaultClass> {
    let wrong: Vec<FaultClass> = evidence
        .par_iter()
        .filter_map(|(id, sha256, bytes)| {
            let class = |code, zh: &str, en: &str| FaultClass {
                code,
                count: 1,
                zh: zh.into(),
                en: en.into(),
                examples: vec![id.clone()],
            };
            let found = blobs.size(sha256).and_then(|size| Ok((size, blobs.is_sound(sha256)?)));
            match found {
                Ok((Some(size), true)) if i64::try_from(size) == Ok(*bytes) => None,
                Ok((Some(_), _)) => Some(class(
                    "evidence_altered",
                    "附件内容与其校验值不符",
                    "the bytes of evidence do not agree with their hash or length",
                )),
                Ok((None, _)) => Some(class(
                    "evidence_missing",
                    "附件文件缺失",
                    "the bytes of evidence are missing",
                )),
                Err(fault) => Some(class(
                    "evidence_unreadable",
                    "附件无法读取",
                    &format!("evidence cannot be read: {fault}"),
                )),
            }
        })
        .collect();
    merged(wrong)
}

/// What a command ends with where the check found anything.
pub fn failed(report: &CheckReport) -> Fault {
    let codes: Vec<&str> = report.faults.iter().map(|fault| fault.code).collect();
    Fault::new(
        FaultKind::Conflict,
        "check_failed",
        format!("检查发现 {} 类问题：{}", codes.len(), codes.join("、")),
        format!("The check found {} classes of faults: {}", codes.len(), codes.join(", ")),
    )
}
