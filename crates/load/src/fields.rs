//! The values of the nine fields, generated once as JSON fragments, so that a record is a few copies.
//!
//! With the same seed a student has the same name: 5,000 names are generated at start (about 3 ms).

use fake::Fake;
use fake::faker::name::raw::{FirstName, LastName};
use fake::locales::{DE_DE, EN, FR_FR, IT_IT, PT_BR, TR_TR};
use fake::rand::{SeedableRng, rngs::StdRng};

pub const STUDENTS: u64 = 5_000;
pub const STUDENT_FIRST: u64 = 2_021_000;
pub const COURSES: [&str; 5] =
    ["Operating Systems", "Data Structures", "Web Engineering", "Artificial Intelligence", "Linear Algebra"];
pub const ACTIVITIES: [&str; 5] = ["coding", "debugging", "reading_docs", "committing_code", "running_tests"];
pub const TOOLS: [&str; 6] = ["VS Code", "PyCharm", "Vim", "Jupyter Notebook", "Terminal", "Sublime Text"];
pub const ERRORS: [&str; 5] = ["None", "SyntaxError", "SegmentationFault", "NullPointer", "IndentationError"];
/// Lines of code when coding; zero otherwise.
pub const LINES: std::ops::RangeInclusive<u64> = 5..=150;
/// Processor use in units of 10⁻⁸ percent: 10.5 to 95.0.
pub const CPU_E8: std::ops::RangeInclusive<u64> = 1_050_000_000..=9_500_000_000;

/// Whether an activity writes lines of code.
pub fn writes_code(activity: usize) -> bool {
    ACTIVITIES[activity] == "coding"
}

/// Whether an activity can end in an error.
pub fn can_fail(activity: usize) -> bool {
    matches!(ACTIVITIES[activity], "debugging" | "running_tests")
}

/// JSON fragments by the value that they hold.
pub struct Fragments {
    /// `, "student_id": …, "student_name": …` of each student.
    students: Vec<Box<[u8]>>,
    /// `, "course": …, "activity": …, "tool_used": …, "lines_of_code": ` of each combination.
    activities: Vec<Box<[u8]>>,
    /// `, "last_error": …, "cpu_usage_pct": ` of each error.
    errors: Vec<Box<[u8]>>,
}

impl Fragments {
    /// Generates the names from the seed.
    pub fn new(seed: u64) -> Fragments {
        let mut rng = StdRng::seed_from_u64(seed);
        let student = |number: u64| {
            let name = serde_json::Value::from(name(number, &mut rng));
            format!(r#", "student_id": "CS-{}", "student_name": {name}"#, STUDENT_FIRST + number)
        };
        let deed = |number: usize| {
            let (course, activity, tool) = (number / 30, number / 6 % 5, number % 6);
            format!(
                r#", "course": "{}", "activity": "{}", "tool_used": "{}", "lines_of_code": "#,
                COURSES[course], ACTIVITIES[activity], TOOLS[tool]
            )
        };
        let error = |error: &str| format!(r#", "last_error": "{error}", "cpu_usage_pct": "#);
        let boxed = |text: String| text.into_bytes().into_boxed_slice();
        Fragments {
            students: (0..STUDENTS).map(student).map(boxed).collect(),
            activities: (0..COURSES.len() * ACTIVITIES.len() * TOOLS.len()).map(deed).map(boxed).collect(),
            errors: ERRORS.iter().copied().map(error).map(boxed).collect(),
        }
    }

    pub fn student(&self, number: usize) -> &[u8] {
        &self.students[number]
    }

    pub fn deed(&self, course: usize, activity: usize, tool: usize) -> &[u8] {
        &self.activities[(course * ACTIVITIES.len() + activity) * TOOLS.len() + tool]
    }

    pub fn error(&self, error: usize) -> &[u8] {
        &self.errors[error]
    }
}

/// Half of the names are English; the others come from five more languages, so that not all are ASCII.
fn name(student: u64, rng: &mut StdRng) -> String {
    let (first, last): (&str, &str) = match student % 10 {
        5 => (FirstName(DE_DE).fake_with_rng(rng), LastName(DE_DE).fake_with_rng(rng)),
        6 => (FirstName(FR_FR).fake_with_rng(rng), LastName(FR_FR).fake_with_rng(rng)),
        7 => (FirstName(IT_IT).fake_with_rng(rng), LastName(IT_IT).fake_with_rng(rng)),
        8 => (FirstName(PT_BR).fake_with_rng(rng), LastName(PT_BR).fake_with_rng(rng)),
        9 => (FirstName(TR_TR).fake_with_rng(rng), LastName(TR_TR).fake_with_rng(rng)),
        _ => (FirstName(EN).fake_with_rng(rng), LastName(EN).fake_with_rng(rng)),
    };
    format!("{first} {last}")
}
