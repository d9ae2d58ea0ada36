//! Draws a diagnostic for people: the message, the line with a caret, and the help.

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{Annotation, AnnotationKind, Element, Group, Level, Origin, Renderer, Snippet};

use crate::diagnostic::{Diagnostic, Severity, Style};
use crate::place::Place;

/// Width at which excerpts of long lines are cut.
const WIDTH: usize = 110;

pub(crate) fn render(diagnostic: &Diagnostic, style: Style) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut group = Group::with_title(level.primary_title(&diagnostic.message).id(diagnostic.code));
    let (here, elsewhere): (Vec<_>, Vec<_>) =
        diagnostic.related.iter().partition(|(place, _)| place.source() == diagnostic.place.source());
    group = group.element(match diagnostic.place.is_whole_file() {
        true => Element::from(Origin::path(diagnostic.place.source().name())),
        false => {
            let primary = annotation(AnnotationKind::Primary, &diagnostic.place, &diagnostic.label);
            let related = here.iter().map(|(place, why)| annotation(AnnotationKind::Context, place, why));
            Element::from(excerpt(&diagnostic.place).annotation(primary).annotations(related))
        }
    });
    for (place, why) in elsewhere {
        group = group.element(excerpt(place).annotation(annotation(AnnotationKind::Context, place, why)));
    }
    if let Some(help) = &diagnostic.help {
        group = group.element(Level::HELP.message(help));
    }
    renderer(style).term_width(WIDTH).render(&[group])
}

fn excerpt(place: &Place) -> Snippet<'_, Annotation<'_>> {
    Snippet::source(place.source().text()).path(place.source().name())
}

fn annotation<'a>(kind: AnnotationKind, place: &Place, label: &'a str) -> Annotation<'a> {
    kind.span(place.span()).label((!label.is_empty()).then_some(label))
}

fn renderer(style: Style) -> Renderer {
    match style {
        Style::Plain => Renderer::plain(),
        Style::Colour => Renderer::styled(),
    }
    .decor_style(DecorStyle::Ascii)
}
