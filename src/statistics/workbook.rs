//! A report as an Excel workbook: one sheet in m², one in mu where it has areas. Totals are
//! formulas, with the value beside them for whoever does not calculate.

use super::figures::{Column, Kind, Report, Row, RowKind};
use super::sheet_csv::{subtotal_words, total_word};
use crate::error::{Fault, Language, Result};
use crate::geometry::geodesic::MU_M2;
use rust_xlsxwriter::{
    Color, DocProperties, ExcelDateTime, Format, FormatAlign, FormatBorder, Formula, Workbook,
    Worksheet, XlsxError, utility,
};

/// The unit of areas on a sheet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AreaUnit {
    SquareMetre,
    Mu,
}

impl AreaUnit {
    /// m² in this unit.
    pub fn of(self, m2: f64) -> f64 {
        match self {
            Self::SquareMetre => m2,
            Self::Mu => m2 / MU_M2,
        }
    }

    pub fn words(self, language: Language) -> &'static str {
        match self {
            Self::SquareMetre => language.pick("平方米", "m²"),
            Self::Mu => language.pick("亩", "mu"),
        }
    }

    fn number_format(self) -> &'static str {
        match self {
            Self::SquareMetre => "#,##0.00",
            Self::Mu => "#,##0.0000",
        }
    }

    /// The line that says the units.
    pub fn line(self, language: Language) -> String {
        let unit = self.words(language);
        language.pick(&format!("单位：{unit}、宗"), &format!("Unit: {unit}, cases")).to_string()
    }
}

/// The workbook's bytes.
pub fn xlsx(report: &Report, language: Language) -> Result<Vec<u8>> {
    let build = || -> std::result::Result<Vec<u8>, XlsxError> {
        let mut workbook = Workbook::new();
        let made = report.head.as_of.naive_utc();
        let made = ExcelDateTime::parse_from_str(&made.format("%Y-%m-%dT%H:%M:%S").to_string())?;
        // A frozen month is kept by its hash: the file says nothing of when it was written.
        workbook.set_properties(
            &DocProperties::new()
                .set_title(report.head.title.pick(language))
                .set_creation_datetime(&made),
        );
        let has_areas = report.columns.iter().any(|column| column.kind.is_area());
        Sheet::new(report, language, AreaUnit::SquareMetre, &mut workbook)?.write()?;
        if has_areas {
            Sheet::new(report, language, AreaUnit::Mu, &mut workbook)?.write()?;
        }
        workbook.save_to_buffer()
    };
    build().map_err(Fault::internal)
}

/// Width in characters: a Chinese one takes two.
fn width_of(text: &str) -> usize {
    text.chars().map(|c| if c.is_ascii() { 1 } else { 2 }).sum()
}

/// Rows before the table: title, area and period, as-of and unit.
const HEADER_ROW: u32 = 3;

struct Sheet<'a> {
    report: &'a Report,
    language: Language,
    unit: AreaUnit,
    sheet: &'a mut Worksheet,
    /// Columns before the figures.
    first: u16,
}

impl<'a> Sheet<'a> {
    fn new(
        report: &'a Report,
        language: Language,
        unit: AreaUnit,
        workbook: &'a mut Workbook,
    ) -> std::result::Result<Self, XlsxError> {
        let sheet = workbook.add_worksheet();
        sheet.set_name(unit.words(language))?;
        let ranked = u16::from(report.rows.iter().any(|row| row.rank.is_some()));
        let before = report.groups.len() + 1 + report.texts.len();
        Ok(Self { report, language, unit, sheet, first: before as u16 + ranked })
    }

    fn ranked(&self) -> bool {
        self.report.rows.iter().any(|row| row.rank.is_some())
    }

    fn last_column(&self) -> u16 {
        self.first + self.report.columns.len() as u16 - 1
    }

    fn write(mut self) -> std::result::Result<(), XlsxError> {
        let (report, language) = (self.report, self.language);
        let last = self.last_column();
        let title = Format::new().set_bold().set_font_size(18).set_align(FormatAlign::Center);
        let line = Format::new().set_align(FormatAlign::Left);
        let unit_line = Format::new().set_align(FormatAlign::Right);
        // Chinese letters are cut in the rows that fit Latin ones.
        self.sheet.set_default_row_height(17);
        self.sheet.set_row_height(0, 30)?;
        self.sheet.merge_range(0, 0, 0, last, report.head.title.pick(language), &title)?;
        self.sheet.merge_range(1, 0, 1, last, &report.head.period_line(language), &line)?;
        let split = last.saturating_sub(3).max(1);
        self.sheet.merge_range(2, 0, 2, split, &report.head.as_of_line(language), &line)?;
        let unit = self.unit.line(language);
        if split + 1 < last {
            self.sheet.merge_range(2, split + 1, 2, last, &unit, &unit_line)?;
        } else {
            self.sheet.write_with_format(2, last, unit.as_str(), &unit_line)?;
        }
        let widths = self.header()?;
        let widths = self.body(widths)?;
        for (column, width) in widths.into_iter().enumerate() {
            self.sheet.set_column_width(column as u16, (width + 2).clamp(7, 40) as f64)?;
        }
        self.print_setup()
    }

    fn header(&mut self) -> std::result::Result<Vec<usize>, XlsxError> {
        let format = Format::new()
            .set_bold()
            .set_text_wrap()
            .set_align(FormatAlign::Center)
            .set_align(FormatAlign::VerticalCenter)
            .set_background_color(Color::RGB(0xE8EEF4))
            .set_border(FormatBorder::Thin);
        let language = self.language;
        let mut titles: Vec<String> = Vec::new();
        if self.ranked() {
            titles.push(language.pick("名次", "Rank").into());
        }
        titles.extend(self.report.groups.iter().map(|g| g.pick(language).to_string()));
        titles.push(self.report.name.pick(language).into());
        titles.extend(self.report.texts.iter().map(|(_, words)| words.pick(language).to_string()));
        titles.extend(self.report.columns.iter().map(|c| c.title.pick(language).to_string()));
        for (column, title) in titles.iter().enumerate() {
            self.sheet.write_with_format(HEADER_ROW, column as u16, title.as_str(), &format)?;
        }
        self.sheet.set_row_height(HEADER_ROW, 34)?;
        // A long title wraps.
        Ok(titles.iter().map(|title| width_of(title).div_ceil(2).max(6)).collect())
    }

    fn body(&mut self, mut widths: Vec<usize>) -> std::result::Result<Vec<usize>, XlsxError> {
        let report = self.report;
        let first_row = HEADER_ROW + 1;
        // Where the rows of each open group begin.
        let mut begins = vec![first_row; report.groups.len()];
        let mut merged_from: Vec<(u32, String)> = Vec::new();
        for level in 0..report.groups.len() {
            let name = report.rows.first().and_then(|row| row.groups.get(level));
            merged_from.push((first_row, name.cloned().unwrap_or_default()));
        }
        let mut row_number = first_row;
        for row in &report.rows {
            match row.kind {
                RowKind::Subtotal(level) => {
                    self.merge_group(level, merged_from[level].0, row_number - 1, row)?;
                    let from = begins[level];
                    self.row(row_number, row, Some((from, row_number - 1)), &mut widths)?;
                    for deeper in level..report.groups.len() {
                        begins[deeper] = row_number + 1;
                        merged_from[deeper].0 = row_number + 1;
                    }
                    // A sub-total of a deeper group stays inside its wider one.
                }
                _ => self.row(row_number, row, None, &mut widths)?,
            }
            row_number += 1;
        }
        let all = (row_number > first_row).then(|| (first_row, row_number - 1));
        self.row(row_number, &report.total, all, &mut widths)?;
        self.foot(row_number + 1)?;
        Ok(widths)
    }

    /// One cell over the rows of a group.
    fn merge_group(
        &mut self,
        level: usize,
        from: u32,
        to: u32,
        row: &Row,
    ) -> std::result::Result<(), XlsxError> {
        let Some(name) = row.groups.get(level) else { return Ok(()) };
        let format = label_format(false).set_align(FormatAlign::VerticalCenter);
        let column = level as u16 + u16::from(self.ranked());
        if to > from {
            self.sheet.merge_range(from, column, to, column, name, &format)?;
        } else {
            self.sheet.write_with_format(from, column, name.as_str(), &format)?;
        }
        Ok(())
    }

    fn row(
        &mut self,
        number: u32,
        row: &Row,
        summed: Option<(u32, u32)>,
        widths: &mut [usize],
    ) -> std::result::Result<(), XlsxError> {
        let strong = row.kind != RowKind::Unit;
        let label = label_format(strong);
        let depth = self.report.groups.len() as u16;
        let shift = u16::from(self.ranked());
        let name = match row.kind {
            RowKind::Unit => row.name.clone().unwrap_or_default(),
            RowKind::Subtotal(_) => {
                subtotal_words(row.name.as_deref().unwrap_or_default(), self.language)
            }
            RowKind::Total => total_word(self.language).into(),
        };
        if let Some(rank) = row.rank {
            self.sheet.write_with_format(number, 0, rank as u32, &label)?;
        } else if shift == 1 {
            self.sheet.write_blank(number, 0, &label)?;
        }
        let start = match row.kind {
            RowKind::Unit => {
                // The group's name is written once, when its sub-total comes.
                for level in 0..depth {
                    let group = row.groups.get(level as usize).filter(|_| row.rank.is_some());
                    let group = group.map_or("", String::as_str);
                    self.sheet.write_with_format(number, level + shift, group, &label)?;
                }
                depth + shift
            }
            RowKind::Subtotal(level) => level as u16 + shift,
            RowKind::Total => shift,
        };
        let last_label = depth + shift;
        if start < last_label {
            self.sheet.merge_range(number, start, number, last_label, &name, &label)?;
        } else {
            self.sheet.write_with_format(number, start, name.as_str(), &label)?;
            widths[start as usize] = widths[start as usize].max(width_of(&name));
        }
        for (level, group) in row.groups.iter().enumerate().take(depth as usize) {
            let width = &mut widths[level + shift as usize];
            *width = (*width).max(width_of(group));
        }
        for index in 0..self.report.texts.len() {
            let column = last_label + 1 + index as u16;
            let text = row.texts.get(index).map_or("", String::as_str);
            self.sheet.write_with_format(number, column, text, &label)?;
            widths[column as usize] = widths[column as usize].max(width_of(text));
        }
        for (index, column) in self.report.columns.iter().enumerate() {
            let at = self.first + index as u16;
            self.figure(number, at, column, row, row.values[index], summed)?;
            let shown = match column.kind {
                Kind::Count => format!("{:.0}", row.values[index]).len(),
                Kind::Rate { .. } | Kind::Share => 7,
                _ => {
                    let digits = if self.unit == AreaUnit::Mu { 5 } else { 3 };
                    let whole = format!("{:.0}", self.unit.of(row.values[index].abs())).len();
                    whole + whole / 3 + digits
                }
            };
            widths[at as usize] = widths[at as usize].max(shown);
        }
        Ok(())
    }

    fn figure(
        &mut self,
        number: u32,
        at: u16,
        column: &Column,
        row: &Row,
        value: f64,
        summed: Option<(u32, u32)>,
    ) -> std::result::Result<(), XlsxError> {
        let strong = row.kind != RowKind::Unit;
        let format = number_format(column.kind, self.unit, strong);
        let value = match column.kind {
            kind if kind.is_area() => self.unit.of(value),
            Kind::Change { share: false, of, .. } if self.is_area_column(of) => self.unit.of(value),
            _ => value,
        };
        let cell = |column: u16| utility::row_col_to_cell(number, column);
        let place = |key: &str| self.report.column(key).map(|i| cell(self.first + i as u16));
        let formula = match (column.kind, summed) {
            (kind, Some((from, to))) if kind.adds_up() && !column.distinct => {
                let range = utility::cell_range(from, at, to, at);
                // Sub-totals inside the range are not counted twice.
                Some(format!("=SUBTOTAL(9,{range})"))
            }
            (Kind::Sum(keys), _) => {
                let cells: Vec<String> = keys.iter().filter_map(|key| place(key)).collect();
                Some(format!("={}", cells.join("+")))
            }
            (Kind::Rate { of, out_of }, _) => match (place(of), place(out_of)) {
                (Some(of), Some(out_of)) => Some(format!("=IF({out_of}=0,\"\",{of}/{out_of})")),
                _ => None,
            },
            (Kind::Change { of, before, share: false }, _) => match (place(of), place(before)) {
                (Some(of), Some(before)) => Some(format!("={of}-{before}")),
                _ => None,
            },
            _ => None,
        };
        match formula {
            Some(formula) => {
                let result = if value.is_nan() { String::new() } else { value.to_string() };
                let formula = Formula::new(formula).set_result(result);
                self.sheet.write_with_format(number, at, formula, &format)?;
            }
            None if value.is_nan() => {
                self.sheet.write_blank(number, at, &format)?;
            }
            None => {
                self.sheet.write_with_format(number, at, value, &format)?;
            }
        }
        Ok(())
    }

    fn is_area_column(&self, key: &str) -> bool {
        self.report.column(key).is_some_and(|i| self.report.columns[i].kind.is_area())
    }

    fn foot(&mut self, mut row: u32) -> std::result::Result<(), XlsxError> {
        let note = Format::new()
            .set_font_size(9)
            .set_text_wrap()
            .set_align(FormatAlign::Left)
            .set_align(FormatAlign::VerticalCenter);
        let last = self.last_column();
        for words in &self.report.head.foot {
            let text = words.pick(self.language);
            self.sheet.merge_range(row, 0, row, last, text, &note)?;
            let lines = width_of(text).div_ceil(140).max(1);
            self.sheet.set_row_height(row, 13.0 * lines as f64)?;
            row += 1;
        }
        let sign = self.language.pick(
            "单位负责人：　　　　　　　　审核人：　　　　　　　　填表人：　　　　　　　　填表日期：　　　　",
            "Responsible:                    Checked by:                    Made by:                    Date:",
        );
        let line = Format::new().set_align(FormatAlign::Left);
        self.sheet.set_row_height(row, 26)?;
        self.sheet.merge_range(row, 0, row, last, sign, &line)?;
        Ok(())
    }

    fn print_setup(&mut self) -> std::result::Result<(), XlsxError> {
        let frozen = self.report.groups.len() as u16 + 1 + u16::from(self.ranked());
        self.sheet.set_freeze_panes(HEADER_ROW + 1, frozen)?;
        self.sheet.set_landscape();
        self.sheet.set_paper_size(9); // A4
        self.sheet.set_print_fit_to_pages(1, 0);
        self.sheet.set_repeat_rows(0, HEADER_ROW)?;
        self.sheet.set_margins(0.4, 0.4, 0.5, 0.6, 0.2, 0.3);
        self.sheet.set_print_center_horizontally(true);
        let pages = self.language.pick("&C第 &P 页 共 &N 页", "&CPage &P of &N");
        self.sheet.set_footer(pages);
        Ok(())
    }
}

fn label_format(strong: bool) -> Format {
    let format = Format::new().set_border(FormatBorder::Thin);
    if strong { shade(format) } else { format }
}

fn shade(format: Format) -> Format {
    format.set_bold().set_background_color(Color::RGB(0xF4F6F8))
}

fn number_format(kind: Kind, unit: AreaUnit, strong: bool) -> Format {
    let number = match kind {
        Kind::Count => "#,##0",
        Kind::Area | Kind::Sum(_) => unit.number_format(),
        Kind::Rate { .. } | Kind::Share => "0.00%",
        Kind::Change { share: true, .. } => "+0.00%;-0.00%;0.00%",
        Kind::Change { share: false, .. } => "+#,##0.##;-#,##0.##;0",
    };
    let format = Format::new().set_border(FormatBorder::Thin).set_num_format(number);
    if strong { shade(format) } else { format }
}
