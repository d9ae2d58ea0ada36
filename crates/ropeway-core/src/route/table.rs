//! The table of all routes: hosts first, then the paths of each.

use super::paths::Paths;
use super::{HostMap, RouteInput, RouteMatch};

/// All routes of a configuration, compiled for lookup. Finding a route allocates nothing and takes as long among
/// ten thousand routes as among a few.
#[derive(Debug, Default)]
pub struct RouteTable {
    hosts: HostMap<Paths>,
    any: Paths,
    shadowed: Vec<Shadowed>,
}

/// A route that no request can reach, because an earlier one matches exactly the same. Worth a warning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shadowed {
    /// The index of the route that is never used.
    pub route: u32,
    /// The index of the earlier route that takes its requests.
    pub by: u32,
}

impl RouteTable {
    /// Compiles the routes, given in file order. Routes that can never match are reported by
    /// [`shadowed`](Self::shadowed) and do no harm.
    #[must_use]
    pub fn build(routes: &[RouteMatch]) -> Self {
        Self::build_numbered((0..u32::MAX).zip(routes.iter().cloned()))
    }

    /// Compiles routes of which each may have several matches, such as several hosts: every match comes with the
    /// number of its route, which is what [`find`](Self::find) answers.
    #[must_use]
    pub fn build_numbered(matches: impl IntoIterator<Item = (u32, RouteMatch)>) -> Self {
        let mut table = Self::default();
        for (route, wanted) in matches {
            let paths = table.hosts.entry(&wanted.host).unwrap_or(&mut table.any);
            let hidden_by = paths.add(&wanted.path, route);
            if let Some(by) = hidden_by.filter(|by| *by != route) {
                table.shadowed.push(Shadowed { route, by });
            }
        }
        table
    }

    /// The index of the route for a request, in the order in which they were given to [`build`](Self::build).
    #[must_use]
    pub fn find(&self, request: &impl RouteInput) -> Option<u32> {
        let of_host = self.hosts.find_map(request.host(), |paths| paths.find(request));
        of_host.or_else(|| self.any.find(request))
    }

    /// The routes that no request can reach, in file order.
    #[must_use]
    pub fn shadowed(&self) -> &[Shadowed] {
        &self.shadowed
    }
}

#[cfg(test)]
mod tests {
    use super::super::{HostMatch, PathMatch};
    use super::*;
    use proptest::prelude::*;

    struct Request<'a>(&'a [u8], &'a [u8]);

    impl RouteInput for Request<'_> {
        fn host(&self) -> &[u8] {
            self.0
        }

        fn path(&self) -> &[u8] {
            self.1
        }
    }

    /// Reads a route as it is said aloud: `*.example.com /api/` is a wildcard host and a prefix, `* =/x` any host
    /// and an exact path.
    fn route(text: &str) -> RouteMatch {
        let (host, path) = text.split_once(' ').expect("a host and a path");
        let host = if host == "*" { HostMatch::Any } else { HostMatch::of(host) };
        let path = match path.strip_prefix('=') {
            Some(exact) => PathMatch::Exact(exact.as_bytes().into()),
            None => PathMatch::Prefix(path.as_bytes().into()),
        };
        RouteMatch { host, path }
    }

    fn find(routes: &[&str], host: &str, path: &str) -> Option<u32> {
        let routes: Vec<RouteMatch> = routes.iter().map(|text| route(text)).collect();
        RouteTable::build(&routes).find(&Request(host.as_bytes(), path.as_bytes()))
    }

    #[test]
    fn a_prefix_ends_at_a_segment() {
        for prefix in ["* /api", "* /api/"] {
            for path in ["/api", "/api/", "/api/x", "/api//", "/api/x/y/"] {
                assert_eq!(find(&[prefix], "h", path), Some(0), "{prefix} {path}");
            }
            for path in ["/apix", "/ap", "/", "", "*", "/API", "//api", "/x/api"] {
                assert_eq!(find(&[prefix], "h", path), None, "{prefix} {path}");
            }
        }
    }

    #[test]
    fn the_root_prefix_covers_everything() {
        for path in ["/", "/x", "//", "", "*"] {
            assert_eq!(find(&["* /"], "h", path), Some(0), "{path}");
        }
    }

    #[test]
    fn an_exact_path_is_compared_whole() {
        assert_eq!(find(&["* =/api"], "h", "/api"), Some(0));
        for path in ["/api/", "/api/x", "/ap", "/apis", "/API"] {
            assert_eq!(find(&["* =/api"], "h", path), None, "{path}");
        }
        assert_eq!(find(&["* =/api/"], "h", "/api/"), Some(0));
    }

    #[test]
    fn exact_paths_precede_prefixes_and_long_prefixes_short_ones() {
        let routes = ["* /", "* /a", "* /a/b/c", "* /a/b", "* =/a/b/c"];
        let expected =
            [("/", 0), ("/x", 0), ("/a", 1), ("/a/x/c", 1), ("/a/b/x", 3), ("/a/b/c/", 2), ("/a/b/c", 4)];
        for (path, index) in expected {
            assert_eq!(find(&routes, "h", path), Some(index), "{path}");
        }
    }

    #[test]
    fn exact_hosts_precede_wildcards_and_long_suffixes_short_ones() {
        let routes = ["* /", "*.com /", "*.example.com /", "a.example.com /"];
        let expected = [
            ("a.example.com", 3),
            ("b.example.com", 2),
            ("b.a.example.com", 2),
            ("example.com", 1),
            ("com", 0),
            (".com", 0),
            ("example.org", 0),
            ("", 0),
        ];
        for (host, index) in expected {
            assert_eq!(find(&routes, host, "/x"), Some(index), "{host}");
        }
    }

    #[test]
    fn a_wildcard_needs_a_label_in_front() {
        for host in ["example.com", ".example.com", "xexample.com", "a.example.com.org", ""] {
            assert_eq!(find(&["*.example.com /"], host, "/"), None, "{host}");
        }
    }

    #[test]
    fn a_host_without_a_matching_path_does_not_hide_the_others() {
        let routes = ["a.b.c /one", "*.b.c /two", "*.c /three", "* /four"];
        for (path, index) in [("/one", 0), ("/two", 1), ("/three", 2), ("/four", 3)] {
            assert_eq!(find(&routes, "a.b.c", path), Some(index), "{path}");
        }
        assert_eq!(find(&routes, "a.b.c", "/five"), None);
    }

    #[test]
    fn hosts_are_configured_in_any_case() {
        assert_eq!(find(&["Shop.Example.COM /"], "shop.example.com", "/"), Some(0));
        assert_eq!(find(&["*.Example.COM /"], "shop.example.com", "/"), Some(0));
    }

    #[test]
    fn of_equal_routes_the_first_wins_and_the_others_are_reported() {
        let texts = ["h /a", "* /a", "H /a/", "h =/a", "h /a", "* /", "* "];
        let routes: Vec<RouteMatch> = texts.into_iter().map(route).collect();
        let table = RouteTable::build(&routes);
        assert_eq!(table.find(&Request(b"h", b"/a/x")), Some(0));
        let shadowed = [(2, 0), (4, 0), (6, 5)].map(|(route, by)| Shadowed { route, by });
        assert_eq!(table.shadowed(), shadowed);
    }

    #[test]
    fn a_route_may_have_several_matches() {
        let matches =
            [(0, route("a /")), (0, route("b /")), (0, route("b /")), (1, route("b /x")), (1, route("a /"))];
        let table = RouteTable::build_numbered(matches);
        let found = [("a", "/x"), ("b", "/"), ("b", "/x"), ("c", "/")]
            .map(|(host, path)| table.find(&Request(host.as_bytes(), path.as_bytes())));
        assert_eq!(found, [Some(0), Some(0), Some(1), None]);
        assert_eq!(table.shadowed(), [Shadowed { route: 1, by: 0 }]);
    }

    #[test]
    fn an_empty_table_has_no_route() {
        assert_eq!(RouteTable::build(&[]).find(&Request(b"h", b"/")), None);
    }

    /// The rules read straight from the specification: every route is tried, the best one wins.
    fn reference(routes: &[RouteMatch], request: &Request<'_>) -> Option<u32> {
        let ranked = routes.iter().zip(0..).filter_map(|(route, index)| {
            let host = host_rank(&route.host, request.host())?;
            let path = path_rank(&route.path, request.path())?;
            Some(((host, path, std::cmp::Reverse(index)), index))
        });
        ranked.max().map(|(_, index)| index)
    }

    fn host_rank(wanted: &HostMatch, host: &[u8]) -> Option<(u8, usize)> {
        match wanted {
            HostMatch::Any => Some((0, 0)),
            HostMatch::Wildcard(suffix) => {
                let label = host.strip_suffix(&**suffix)?.strip_suffix(b".")?;
                (!label.is_empty()).then_some((1, suffix.len()))
            }
            HostMatch::Exact(name) => (**name == *host).then_some((2, 0)),
        }
    }

    fn path_rank(wanted: &PathMatch, path: &[u8]) -> Option<(u8, usize)> {
        match wanted {
            PathMatch::Prefix(prefix) => {
                let prefix = prefix.strip_suffix(b"/").unwrap_or(prefix);
                let below = path.strip_prefix(prefix)?;
                let covers = prefix.is_empty() || below.is_empty() || below.starts_with(b"/");
                covers.then_some((0, prefix.len()))
            }
            PathMatch::Exact(exact) => (**exact == *path).then_some((1, 0)),
        }
    }

    /// Few letters, so that routes and requests meet often.
    fn any_host() -> impl Strategy<Value = String> {
        "\\.?[ab]{0,2}(\\.[ab]{1,2}){0,3}"
    }

    fn any_path() -> impl Strategy<Value = String> {
        prop_oneof![10 => "(/[ab]{0,2}){0,5}", 1 => "[*ab/]{0,3}", 1 => "(/a){60,70}"]
    }

    fn any_route() -> impl Strategy<Value = RouteMatch> {
        let host = prop_oneof![
            Just(HostMatch::Any),
            any_host().prop_map(|name| HostMatch::Exact(name.into_bytes().into())),
            any_host().prop_map(|name| HostMatch::Wildcard(name.into_bytes().into())),
        ];
        let path = prop_oneof![
            any_path().prop_map(|path| PathMatch::Exact(path.into_bytes().into())),
            any_path().prop_map(|path| PathMatch::Prefix(path.into_bytes().into())),
        ];
        (host, path).prop_map(|(host, path)| RouteMatch { host, path })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]

        #[test]
        fn agrees_with_trying_every_route(
            routes in proptest::collection::vec(any_route(), 0..40),
            requests in proptest::collection::vec((any_host(), any_path()), 1..40),
        ) {
            let table = RouteTable::build(&routes);
            for (host, path) in &requests {
                let request = Request(host.as_bytes(), path.as_bytes());
                prop_assert_eq!(table.find(&request), reference(&routes, &request), "{} {}", host, path);
            }
        }

        #[test]
        fn a_shadowed_route_is_never_found(
            routes in proptest::collection::vec(any_route(), 0..60), host in any_host(), path in any_path(),
        ) {
            let table = RouteTable::build(&routes);
            let found = table.find(&Request(host.as_bytes(), path.as_bytes()));
            prop_assert!(table.shadowed().iter().all(|shadowed| Some(shadowed.route) != found));
        }
    }
}
