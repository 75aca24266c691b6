//! `xuncha lookup`: one point, or a file of points.

use super::lookup_batch::{self, BatchArgs};
use crate::atlas::lookup::Atlas;
use crate::enforcement::dispatch::{Assignment, Contact, Roster};
use crate::enforcement::intake::Candidate;
use crate::enforcement::lookup::answer::{LookupAnswer, Question};
use crate::enforcement::nature::Nature;
use crate::enforcement::place::AreaName;
use crate::error::{Fault, Language, Result};
use crate::geometry::crs::Crs;
use crate::geometry::geodesic::MU_M2;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

/// What stands at a coordinate, and who answers for it.
///
/// X is always longitude or easting and Y latitude or northing, whatever axis order EPSG states.
///
/// Examples:
///   xuncha lookup 119.0078 25.4540
///   xuncha lookup 399400.84 2814064.89 --crs EPSG:4549 --nature illegal_construction
///   xuncha lookup --batch points.csv --out answers.csv --crs gcj02
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct LookupArgs {
    /// Longitude or easting
    #[arg(allow_negative_numbers = true, required_unless_present = "batch")]
    x: Option<f64>,
    /// Latitude or northing
    #[arg(allow_negative_numbers = true, required_unless_present = "batch")]
    y: Option<f64>,
    /// EPSG:n, a WKT or PROJ string, wgs84, cgcs2000, gcj02 or bd09
    #[arg(long, default_value = "wgs84")]
    crs: String,
    /// Who answers for this nature
    #[arg(long, value_parser = ["illegal_land_use", "illegal_construction", "both"])]
    nature: Option<String>,
    /// Radius in metres of the circle in which the true position lies
    #[arg(long, value_name = "METRES", conflicts_with = "batch")]
    accuracy: Option<f64>,
    /// A CSV file of points, any size
    #[arg(long, value_name = "IN.csv", requires = "out", conflicts_with_all = ["x", "y"])]
    batch: Option<PathBuf>,
    /// Where the answers of --batch go
    #[arg(long, value_name = "OUT.csv", requires = "batch")]
    out: Option<PathBuf>,
    /// The column with longitude or easting, where it has no usual name
    #[arg(long, value_name = "COLUMN", requires = "batch")]
    lon: Option<String>,
    /// The column with latitude or northing, where it has no usual name
    #[arg(long, value_name = "COLUMN", requires = "batch")]
    lat: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command. `load` opens the store; it is called when the arguments make sense.
pub fn run(
    args: &LookupArgs,
    language: Language,
    load: impl FnOnce() -> Result<(Arc<Atlas>, Arc<Roster>)>,
) -> Result<()> {
    let crs: Crs = args.crs.parse()?;
    let nature = args.nature.as_deref().and_then(Nature::parse);
    if let (Some(input), Some(out)) = (&args.batch, &args.out) {
        let (lon, lat, json) = (args.lon.clone(), args.lat.clone(), args.json);
        let batch = BatchArgs { input, out, lon, lat, crs, nature, json, language };
        return lookup_batch::run(batch, load);
    }
    let (Some(x), Some(y)) = (args.x, args.y) else {
        return Err(Fault::invalid("请给出 X 和 Y", "X and Y are needed"));
    };
    let question = Question { x, y, crs, nature, accuracy_m: args.accuracy };
    question.position()?;
    let (atlas, roster) = load()?;
    let answer = question.answer(&atlas, &roster)?;
    for warning in &answer.warnings {
        eprintln!("{}", say(language, &warning.zh, &warning.en));
    }
    if args.json {
        println!("{}", serde_json::to_string_pretty(&answer).map_err(Fault::internal)?);
    } else {
        print!("{}", human(&answer, language));
    }
    Ok(())
}

fn say<'a>(language: Language, zh: &'a str, en: &'a str) -> &'a str {
    match language {
        Language::Chinese => zh,
        Language::English => en,
    }
}

/// The answer as people read it.
fn human(answer: &LookupAnswer, language: Language) -> String {
    let say = |zh, en| say(language, zh, en);
    let mut text = String::new();
    let mut line = |label: &str, value: String| {
        // Chinese characters take two columns of a terminal.
        let width: usize = label.chars().map(|c| if c.is_ascii() { 1 } else { 2 }).sum();
        let _ = writeln!(text, "{label}{} {value}", " ".repeat(14usize.saturating_sub(width)));
    };
    let (point, input) = (&answer.point, &answer.input);
    line(say("位置", "position"), format!("{:.7}, {:.7} CGCS2000", point.lon, point.lat));
    line(say("输入", "input"), format!("{}, {} {}", input.x, input.y, input.crs));
    let place = &answer.place;
    let named = |area: &Option<AreaName>| {
        area.as_ref().map_or("—".to_string(), |a| format!("{} {}", a.name, a.code))
    };
    if answer.inside {
        line(say("市", "city"), named(&place.city));
        line(say("区县", "district"), named(&place.district));
        for area in &place.functional_areas {
            line(say("功能区", "functional area"), format!("{} {}", area.name, area.code));
        }
        line(say("乡镇街道", "town"), named(&place.town));
        line(say("村社区", "village"), named(&place.village));
        line(say("单元网格", "cell"), named(&place.cell));
    } else {
        line(say("范围", "range"), say("在城市范围之外", "outside the city").to_string());
    }
    let (zh, category) = match answer.category.as_str() {
        "basic_farmland" => ("永久基本农田", "permanent basic farmland"),
        "farmland" => ("耕地", "cultivated land"),
        "homestead" => ("宅基地", "rural homestead"),
        "mine" => ("矿山", "mine"),
        _ => ("非耕地", "other land"),
    };
    line(say("地类", "category"), say(zh, category).to_string());
    for parcel in &answer.parcels {
        let class = [&parcel.class_code, &parcel.class_name].map(|c| c.as_deref().unwrap_or("—"));
        let (m2, mu) = (parcel.area_m2, parcel.area_m2 / MU_M2);
        let area = format!("{m2:.1} m² ({mu:.2} {})", say("亩", "mu"));
        line(&parcel.layer, format!("{} {} {area} {}", class[0], class[1], parcel.id));
    }
    if let Some(responsible) = &answer.responsible {
        line(say("责任人", "responsible"), assigned(&responsible.assignment));
        for backup in &responsible.assignment.backup {
            line(say("备岗", "backup"), contact(backup));
        }
    } else if answer.inside {
        line(say("责任人", "responsible"), say("无人负责", "nobody").to_string());
    }
    if let Some(distance) = answer.border_distance_m {
        line(say("距网格边界", "to the border"), format!("{distance:.1} m"));
    }
    let near = |c: &Candidate| {
        let who =
            c.responsible.as_ref().map_or("—".to_string(), |r| contact(&r.assignment.primary));
        let village = c.village.as_ref().map_or("", |v| &v.name);
        format!("{:.1} m  {} {} {village}  {who}", c.distance_m, c.cell.code, c.cell.name)
    };
    for candidate in &answer.candidates {
        line(say("可能网格", "candidate"), near(candidate));
    }
    if let Some(nearest) = &answer.nearest {
        line(say("最近网格", "nearest cell"), near(nearest));
    }
    text
}

fn contact(contact: &Contact) -> String {
    format!("{} {} ({})", contact.name, contact.phone, contact.role.as_str())
}

fn assigned(assignment: &Assignment) -> String {
    format!("{} ← {}", contact(&assignment.primary), assignment.found_by.as_str())
}
