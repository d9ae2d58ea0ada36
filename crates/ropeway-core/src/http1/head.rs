//! A head: one arena of bytes, and where its fields lie in it.

use super::grammar::is_ows;
use super::known::{Known, looks_like};

/// A range of bytes in the arena of a [`Head`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// From positions within a head. Heads are far below 4 GiB; a larger position saturates, and then reads empty.
    pub(super) fn new(start: usize, end: usize) -> Self {
        let clamp = |position| u32::try_from(position).unwrap_or(u32::MAX);
        Self { start: clamp(start), end: clamp(end) }
    }

    /// The bytes that it names.
    pub(super) fn of(self, arena: &[u8]) -> &[u8] {
        arena.get(self.start as usize..self.end as usize).unwrap_or_default()
    }

    pub(super) const fn is_empty(self) -> bool {
        self.start >= self.end
    }
}

/// Where one field lies in the arena.
#[derive(Clone, Copy, Debug)]
struct Field {
    name: Span,
    value: Span,
    known: Known,
}

/// One field of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldRef<'a> {
    /// The name as received.
    pub name: &'a [u8],
    /// The value as received, without whitespace around it.
    pub value: &'a [u8],
    /// What the name means to us.
    pub known: Known,
}

const ABSENT: u8 = u8::MAX;

/// The fields of a message in arrival order, over one byte arena.
///
/// Removing a field only marks it: the bytes stay, and [`Head::write_fields`] leaves it out. A head is meant to be
/// used again and again; its vectors keep their capacity.
#[derive(Clone, Debug)]
pub struct Head {
    /// The head as received, then whatever was derived from it (a host name in lower case).
    arena: Vec<u8>,
    received: usize,
    fields: Vec<Field>,
    first: [u8; Known::COUNT],
    /// The known names that came, as a set.
    present: u64,
    /// Those that came more than once.
    repeated: u64,
    /// By field index: left out from now on.
    removed: u128,
    /// By field index: meant for this connection only (RFC 9110 7.6.1).
    hop_by_hop: u128,
    /// By field index: lies in the arena just as it is to be written.
    verbatim: u128,
}

impl Default for Head {
    fn default() -> Self {
        Self::new()
    }
}

impl Head {
    /// An empty head. Allocates nothing yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            arena: Vec::new(),
            received: 0,
            fields: Vec::new(),
            first: [ABSENT; Known::COUNT],
            present: 0,
            repeated: 0,
            removed: 0,
            hop_by_hop: 0,
            verbatim: 0,
        }
    }

    /// Forgets everything, but keeps the memory.
    pub fn clear(&mut self) {
        self.arena.clear();
        self.received = 0;
        self.fields.clear();
        self.first = [ABSENT; Known::COUNT];
        self.present = 0;
        self.repeated = 0;
        self.removed = 0;
        self.hop_by_hop = 0;
        self.verbatim = 0;
    }

    /// The value of the first field of this name that was not removed.
    #[must_use]
    pub fn get(&self, known: Known) -> Option<&[u8]> {
        let first = self.first_index(known)?;
        if self.removed & bit(first) == 0 {
            return self.fields.get(first).map(|field| field.value.of(&self.arena));
        }
        if !self.is_repeated(known) {
            return None;
        }
        self.get_all(known).next()
    }

    /// The values of all fields of this name that were not removed, in arrival order.
    pub fn get_all(&self, known: Known) -> impl Iterator<Item = &[u8]> {
        let from = self.first_index(known).unwrap_or(self.fields.len());
        let most = if self.is_repeated(known) { usize::MAX } else { 1 };
        let fields = self.fields_from(from).filter(move |field| field.known == known);
        fields.map(|field| field.value).take(most)
    }

    /// The value of the first field of any name, in any case, that was not removed.
    #[must_use]
    pub fn find(&self, name: &[u8]) -> Option<&[u8]> {
        self.fields().find(|field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value)
    }

    /// The fields that were not removed, in arrival order.
    pub fn fields(&self) -> impl Iterator<Item = FieldRef<'_>> {
        self.fields_from(0)
    }

    /// How many fields there are, without the removed ones.
    #[must_use]
    pub fn len(&self) -> usize {
        self.fields.len() - self.removed.count_ones() as usize
    }

    /// Whether no field is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The head as received, start line and final empty line included.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.arena.get(..self.received).unwrap_or_default()
    }

    /// Removes every field of this name.
    pub fn remove(&mut self, known: Known) {
        self.removed |= self.indexes_of(known);
    }

    /// Removes every field of this name, in any case.
    pub fn remove_named(&mut self, name: &[u8]) {
        self.removed |= self.indexes_of_name(name);
    }

    /// Removes every field whose name looks like this one to a server that takes an underscore for a hyphen, in any case; those
    /// of just this name only if they are not to be kept.
    pub fn remove_like(&mut self, name: &[u8], keeps_exact: bool) {
        self.removed |= self.indexes_where(|field| {
            let found = field.name.of(&self.arena);
            looks_like(found, name) && !(keeps_exact && found.eq_ignore_ascii_case(name))
        });
    }

    /// Appends every field that was not removed as `Name: value` CRLF, in arrival order and original case.
    ///
    /// Neighbouring fields that arrived in just this form are copied in one piece.
    pub fn write_fields(&self, out: &mut Vec<u8>) {
        let mut run: Option<Span> = None;
        for (index, field) in self.fields.iter().enumerate() {
            if (self.removed | !self.verbatim) & bit(index) == 0 {
                // A verbatim field ends in CRLF right after its value.
                let end = field.value.end + 2;
                let start = run.map_or(field.name.start, |run| run.start);
                run = Some(Span { start, end });
                continue;
            }
            if let Some(run) = run.take() {
                out.extend_from_slice(run.of(&self.arena));
            }
            if self.removed & bit(index) == 0 {
                self.write_field(field, out);
            }
        }
        if let Some(run) = run {
            out.extend_from_slice(run.of(&self.arena));
        }
    }

    fn write_field(&self, field: &Field, out: &mut Vec<u8>) {
        out.extend_from_slice(field.name.of(&self.arena));
        out.extend_from_slice(b": ");
        out.extend_from_slice(field.value.of(&self.arena));
        out.extend_from_slice(b"\r\n");
    }

    fn fields_from(&self, from: usize) -> impl Iterator<Item = FieldRef<'_>> {
        let kept = move |(index, _): &(usize, &Field)| self.removed & bit(*index) == 0;
        self.fields.iter().enumerate().skip(from).filter(kept).map(|(_, field)| self.field_ref(field))
    }

    fn field_ref(&self, field: &Field) -> FieldRef<'_> {
        FieldRef { name: field.name.of(&self.arena), value: field.value.of(&self.arena), known: field.known }
    }

    fn first_index(&self, known: Known) -> Option<usize> {
        self.first.get(known as usize).filter(|&&index| index != ABSENT).map(|&index| usize::from(index))
    }
}

/// What the rules of this crate need beyond the public face.
impl Head {
    /// Takes a head as received, and the fields that the lexer found in it from `at` on.
    ///
    /// The lexer is more lenient than we are. So each field must lie exactly where the one before ended, and only
    /// whitespace and CRLF may lie between; anything else that it skipped is refused here.
    ///
    /// # Errors
    /// A line that does not end in CRLF.
    pub(super) fn take(
        &mut self,
        received: &[u8],
        mut at: usize,
        lexed: &[httparse::Header<'_>],
    ) -> Result<(), &'static str> {
        self.arena.extend_from_slice(received);
        self.received = received.len();
        for field in lexed {
            at = self.take_field(received, at, field).ok_or("a line that does not end in CRLF")?;
        }
        if received.get(at..) == Some(b"\r\n") { Ok(()) } else { Err("a line that does not end in CRLF") }
    }

    fn take_field(&mut self, received: &[u8], at: usize, lexed: &httparse::Header<'_>) -> Option<usize> {
        let line = received.get(at..)?;
        if !std::ptr::eq(line.as_ptr(), lexed.name.as_ptr()) {
            return None;
        }
        let name_end = lexed.name.len();
        let after_name = line.get(name_end..)?;
        let value_start = name_end + value_offset(after_name)?;
        let value_end = value_start + lexed.value.len();
        let after_value = line.get(value_end..)?;
        let trailing = after_value.iter().take_while(|&&byte| is_ows(byte)).count();
        if !after_value.get(trailing..)?.starts_with(b"\r\n") {
            return None;
        }
        let canonical = trailing == 0 && value_start == name_end + 2 && after_name.starts_with(b": ");
        self.push(
            Span::new(at, at + name_end),
            Span::new(at + value_start, at + value_end),
            Known::from_name(lexed.name.as_bytes()),
            canonical,
        );
        Some(at + value_end + trailing + 2)
    }

    fn push(&mut self, name: Span, value: Span, known: Known, verbatim: bool) {
        let index = self.fields.len();
        if let Some(first) = self.first.get_mut(known as usize) {
            if *first == ABSENT {
                *first = u8::try_from(index).unwrap_or(ABSENT);
            } else {
                self.repeated |= known.bit();
            }
        }
        self.present |= known.bit();
        if verbatim {
            self.verbatim |= bit(index);
        }
        self.fields.push(Field { name, value, known });
    }

    /// The whole arena, for spans that point beyond the received bytes.
    pub(crate) fn arena(&self) -> &[u8] {
        &self.arena
    }

    /// Appends derived bytes in lower case to the arena.
    pub(super) fn append_lower_case(&mut self, span: Span) -> Span {
        let start = self.arena.len();
        self.arena.extend_from_within(span.start as usize..span.end as usize);
        if let Some(copy) = self.arena.get_mut(start..) {
            copy.make_ascii_lowercase();
        }
        Span::new(start, self.arena.len())
    }

    /// Whether one of the names in this set came, removed or not.
    pub(super) const fn has_any(&self, set: u64) -> bool {
        self.present & set != 0
    }

    /// Whether this name came more than once.
    pub(super) const fn is_repeated(&self, known: Known) -> bool {
        self.repeated & known.bit() != 0
    }

    /// Where the value of the first field of this name lies, removed or not.
    pub(super) fn first_value(&self, known: Known) -> Option<Span> {
        self.fields.get(self.first_index(known)?).map(|field| field.value)
    }

    /// Points the first field of this name at another value.
    pub(super) fn replace_value(&mut self, known: Known, value: Span) {
        let Some(index) = self.first_index(known) else { return };
        if let Some(field) = self.fields.get_mut(index) {
            field.value = value;
            self.verbatim &= !bit(index);
        }
    }

    /// The indexes of every field of this name, removed or not, as a set.
    pub(super) fn indexes_of(&self, known: Known) -> u128 {
        let Some(first) = self.first_index(known) else { return 0 };
        if !self.is_repeated(known) {
            return bit(first);
        }
        self.indexes_where(|field| field.known == known)
    }

    /// The indexes of every field of this name in any case, removed or not, as a set.
    pub(super) fn indexes_of_name(&self, name: &[u8]) -> u128 {
        self.indexes_where(|field| field.name.of(&self.arena).eq_ignore_ascii_case(name))
    }

    fn indexes_where(&self, matches: impl Fn(&Field) -> bool) -> u128 {
        let indexes = self.fields.iter().enumerate().filter(|(_, field)| matches(field));
        indexes.fold(0, |set, (index, _)| set | bit(index))
    }

    /// Declares which fields are meant for this connection only.
    pub(super) fn set_hop_by_hop(&mut self, indexes: u128) {
        self.hop_by_hop = indexes;
    }

    /// Removes the fields that are meant for this connection only.
    pub(super) fn remove_hop_by_hop(&mut self) {
        self.removed |= self.hop_by_hop;
    }

    /// Removes every field whose name is written with an underscore and has this meaning.
    pub(crate) fn remove_underscored(&mut self, known: Known) {
        if self.first_index(known).is_some() {
            self.removed |= self
                .indexes_where(|field| field.known == known && field.name.of(&self.arena).contains(&b'_'));
        }
    }

    /// The values of this name that the sender meant for whoever comes next: removed fields are included, fields
    /// that Connection names are not, and neither are names spelled with an underscore, which only look alike.
    pub(crate) fn received_end_to_end(&self, known: Known) -> impl DoubleEndedIterator<Item = &[u8]> {
        let present = if self.first_index(known).is_some() { self.fields.as_slice() } else { &[] };
        present
            .iter()
            .enumerate()
            .filter(move |(index, field)| field.known == known && self.hop_by_hop & bit(*index) == 0)
            .filter(|(_, field)| !field.name.of(&self.arena).contains(&b'_'))
            .map(|(_, field)| field.value.of(&self.arena))
    }
}

/// Where the value starts in the rest of a line from its colon on.
fn value_offset(from_colon: &[u8]) -> Option<usize> {
    let after_colon = from_colon.strip_prefix(b":")?;
    Some(1 + after_colon.iter().take_while(|&&byte| is_ows(byte)).count())
}

const fn bit(index: usize) -> u128 {
    // Heads have at most 128 fields, so that the mask never bites.
    1 << (index & 127)
}
