//! What belongs to host names, found by exact name first, then by the longest wildcard.

use std::collections::HashMap;

use foldhash::fast::FixedState;
use memchr::memchr;

use super::HostMatch;
use super::lengths::Lengths;

type Names<T> = HashMap<Box<[u8]>, T, FixedState>;

/// Values by host name. A lookup allocates nothing, and takes as long among ten thousand names as among a few.
#[derive(Debug)]
pub struct HostMap<T> {
    exact: Names<T>,
    /// By suffix, without the `*.` in front.
    wildcard: Names<T>,
    wildcard_lengths: Lengths,
}

impl<T> Default for HostMap<T> {
    fn default() -> Self {
        Self { exact: Names::default(), wildcard: Names::default(), wildcard_lengths: Lengths::default() }
    }
}

impl<T> HostMap<T> {
    /// The value for every host that `host` means; [`HostMatch::Any`] has none here.
    pub fn entry(&mut self, host: &HostMatch) -> Option<&mut T>
    where
        T: Default,
    {
        match host {
            HostMatch::Any => None,
            HostMatch::Exact(name) => Some(self.exact.entry(lower_case(name)).or_default()),
            HostMatch::Wildcard(suffix) => {
                self.wildcard_lengths.insert(suffix.len());
                Some(self.wildcard.entry(lower_case(suffix)).or_default())
            }
        }
    }

    /// The first answer that `look` finds in a value for `host`, a name in lower case without a port: in that of the
    /// name itself, then in those of the wildcards that cover it, the longest first.
    #[inline]
    pub fn find_map<R>(&self, host: &[u8], mut look: impl FnMut(&T) -> Option<R>) -> Option<R> {
        let exact = self.exact.get(host).and_then(&mut look);
        exact.or_else(|| self.find_wildcard(host, look))
    }

    /// Tries what stands behind each dot, the longest suffix that may be configured first.
    fn find_wildcard<R>(&self, host: &[u8], mut look: impl FnMut(&T) -> Option<R>) -> Option<R> {
        if self.wildcard.is_empty() {
            return None;
        }
        let first = host.len().saturating_sub(self.wildcard_lengths.longest() + 1);
        // The `*` stands for at least one byte: a dot that begins the name has no label in front of it.
        let mut rest = host.get(first.max(1)..)?;
        while let Some(dot) = memchr(b'.', rest) {
            rest = rest.get(dot + 1..)?;
            let found = self.wildcard(rest).and_then(&mut look);
            if found.is_some() {
                return found;
            }
        }
        None
    }

    fn wildcard(&self, suffix: &[u8]) -> Option<&T> {
        if self.wildcard_lengths.contains(suffix.len()) { self.wildcard.get(suffix) } else { None }
    }
}

fn lower_case(name: &[u8]) -> Box<[u8]> {
    name.to_ascii_lowercase().into_boxed_slice()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(hosts: &[&str]) -> HostMap<Option<usize>> {
        let mut map = HostMap::default();
        for (index, host) in hosts.iter().enumerate() {
            *map.entry(&HostMatch::of(host)).unwrap() = Some(index);
        }
        map
    }

    #[test]
    fn an_exact_name_comes_before_wildcards_and_the_longest_of_these_first() {
        let map = map(&["*.example.com", "*.b.example.com", "a.b.example.com"]);
        let find = |host: &str| map.find_map(host.as_bytes(), |index| *index);
        assert_eq!(find("a.b.example.com"), Some(2));
        assert_eq!(find("x.b.example.com"), Some(1));
        assert_eq!(find("y.x.example.com"), Some(0));
        assert_eq!(find("example.com"), None);
        assert_eq!(find(".example.com"), None);
    }
}
