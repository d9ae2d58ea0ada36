//! Draws a diagnostic for people: the message, the line with a caret, and the help.

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

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
    group = draw_place(group, &diagnostic.place, &diagnostic.label, AnnotationKind::Primary);
    for (place, why) in &diagnostic.related {
        group = draw_place(group, place, why, AnnotationKind::Context);
    }
    if let Some(help) = &diagnostic.help {
        group = group.element(Level::HELP.message(help));
    }
    renderer(style).term_width(WIDTH).render(&[group])
}

fn draw_place<'a>(group: Group<'a>, place: &'a Place, label: &'a str, kind: AnnotationKind) -> Group<'a> {
    if place.is_whole_file() {
        return group.element(Origin::path(place.source().name()));
    }
    let label = (!label.is_empty()).then_some(label);
    let annotation = kind.span(place.span()).label(label);
    group.element(Snippet::source(place.source().text()).path(place.source().name()).annotation(annotation))
}

fn renderer(style: Style) -> Renderer {
    match style {
        Style::Plain => Renderer::plain(),
        Style::Colour => Renderer::styled(),
    }
    .decor_style(DecorStyle::Ascii)
}
