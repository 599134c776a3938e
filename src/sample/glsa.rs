//! Security advisories and news items of the sample.
//!
//! Advisories speak of kept packages, in the shape of glsa.dtd: affected versions as ranges, an
//! impact, references. Both kinds are only ever added, as upstream does.

use crate::portage::stamp::print_date;

use super::dice::Dice;
use super::package::dependency;
use super::plan::Plan;
use super::recipe::{BASE, DAY, SampleFile, published};
use super::words;

const MEAN: u32 = 1_100;

/// All advisories up to this revision.
pub(super) fn advisories(plan: &Plan) -> Vec<SampleFile> {
    let today = u64::from(plan.recipe.revision);
    // About one in two days for a tree of the real size.
    let more = u64::from(plan.scale.packages) * today / 40_000;
    let before = u64::from(plan.scale.glsas);
    let mut files = Vec::new();
    for n in 0..before + more {
        // Those of revision 0 go back twenty years, evenly; the others come on their day.
        let announced = match n.checked_sub(before) {
            None => BASE - 3_600 - i64::try_from((before - n) * 7_300 / before).unwrap_or(0) * DAY,
            Some(new) => {
                let day = (new + 1) * 40_000 / u64::from(plan.scale.packages) + 1;
                published(u32::try_from(day.min(today)).unwrap_or(0)) - 7_200
            }
        };
        // The number after the month is the month's own count upstream; here it counts all.
        let month: String = print_date(announced).replace('-', "").chars().take(6).collect();
        let id = format!("{month}-{n:02}");
        let text = advisory(plan, n, &id, announced);
        files.push(SampleFile::tree(format!("metadata/glsa/glsa-{id}.xml"), text, announced));
    }
    files
}

/// All news items up to this revision.
pub(super) fn news(plan: &Plan) -> Vec<SampleFile> {
    let more = plan.recipe.revision / 15;
    let mut files = Vec::new();
    for n in 0..plan.scale.news + more {
        let posted = match n.checked_sub(plan.scale.news) {
            None => BASE - i64::from((plan.scale.news - n) * 30 + 1) * DAY,
            Some(new) => published((new + 1) * 15) - 7_200,
        };
        let mut dice = Dice::new(plan.recipe.seed, "news", u64::from(n));
        let (date, word) = (print_date(posted), words::word(&mut dice));
        let name = format!("{date}-{word}");
        let mut text = format!(
            "Title: {}\nAuthor: Sample <sample@headwater.invalid>\nPosted: {date}\nRevision: 1\n\
             News-Item-Format: 2.0\nDisplay-If-Installed: app-misc/hello-headwater\n\n",
            words::phrase(&mut dice, 4)
        );
        let size = dice.size(MEAN);
        words::lines(&mut text, &mut dice, "", size);
        files.push(SampleFile::tree(format!("metadata/news/{name}/{name}.en.txt"), text, posted));
    }
    files
}

fn advisory(plan: &Plan, n: u64, id: &str, announced: i64) -> String {
    let mut dice = Dice::new(plan.recipe.seed, "glsa", n);
    let atom = dependency(&mut dice, plan.scale.packages).map(|index| plan.atom(index)).unwrap_or_default();
    let product = atom.rsplit('/').next().unwrap_or_default();
    let (access, impact) = (dice.pick(&["remote", "local"]), dice.pick(&["low", "normal", "normal", "high"]));
    let version = format!("{}.{}", dice.below(8), dice.between(1, 20));
    let (date, year) = (print_date(announced), id.get(..4).unwrap_or_default());
    let mut part = |indent: &str| {
        let mut text = String::new();
        let size = dice.size(MEAN) / 4;
        words::lines(&mut text, &mut dice, indent, size);
        text
    };
    let (about, what, effect, cure) = (part("      "), part("      "), part("      "), part("      "));
    let references: String = (0..1 + n % 6)
        .map(|k| {
            let cve = format!("CVE-{year}-{}", 1000 + n * 7 + k);
            format!("    <uri link=\"https://nvd.invalid/vuln/detail/{cve}\">{cve}</uri>\n")
        })
        .collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <!DOCTYPE glsa SYSTEM \"http://www.gentoo.org/dtd/glsa.dtd\">\n<glsa id=\"{id}\">\n\
         \x20 <title>{product}: A made-up weakness</title>\n\
         \x20 <synopsis>A weakness in {product} that does not exist.</synopsis>\n\
         \x20 <product type=\"ebuild\">{product}</product>\n\
         \x20 <announced>{date}</announced>\n  <revised count=\"1\">{date}</revised>\n\
         \x20 <bug>{bug}</bug>\n  <access>{access}</access>\n  <affected>\n\
         \x20   <package name=\"{atom}\" auto=\"yes\" arch=\"*\">\n\
         \x20     <unaffected range=\"ge\">{version}</unaffected>\n\
         \x20     <vulnerable range=\"lt\">{version}</vulnerable>\n    </package>\n  </affected>\n\
         \x20 <background>\n    <p>{about}    </p>\n  </background>\n\
         \x20 <description>\n    <p>{what}    </p>\n  </description>\n\
         \x20 <impact type=\"{impact}\">\n    <p>{effect}    </p>\n  </impact>\n\
         \x20 <workaround>\n    <p>There is no known workaround at this time.</p>\n  </workaround>\n\
         \x20 <resolution>\n    <p>{cure}    </p>\n    <code>\n      # emerge --sync\n\
         \x20     # emerge --ask --oneshot --verbose \"&gt;={atom}-{version}\"\n    </code>\n  </resolution>\n\
         \x20 <references>\n{references}  </references>\n\
         \x20 <metadata tag=\"requester\" timestamp=\"{date}T00:00:00Z\">sample</metadata>\n\
         \x20 <metadata tag=\"submitter\" timestamp=\"{date}T00:00:00Z\">sample</metadata>\n</glsa>\n",
        bug = 100_000 + n,
    )
}
