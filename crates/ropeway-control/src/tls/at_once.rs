//! Several things that may each fail: everything that is wrong with them is told at once.

/// Both, or everything that is wrong with either.
pub(super) fn both<A, B, E: PartialEq>(
    one: Result<A, Vec<E>>,
    other: Result<B, Vec<E>>,
) -> Result<(A, B), Vec<E>> {
    match (one, other) {
        (Ok(one), Ok(other)) => Ok((one, other)),
        (Err(wrong), Ok(_)) | (Ok(_), Err(wrong)) => Err(wrong),
        (Err(mut wrong), Err(more)) => {
            add(&mut wrong, more);
            Err(wrong)
        }
    }
}

/// All of them, or everything that is wrong with any.
pub(super) fn all<T, E: PartialEq>(
    outcomes: impl IntoIterator<Item = Result<T, Vec<E>>>,
) -> Result<Vec<T>, Vec<E>> {
    let (mut good, mut wrong) = (Vec::new(), Vec::new());
    for outcome in outcomes {
        match outcome {
            Ok(one) => good.push(one),
            Err(more) => add(&mut wrong, more),
        }
    }
    if wrong.is_empty() { Ok(good) } else { Err(wrong) }
}

/// What is there already is not said again: the same file may be used in several places.
pub(super) fn add<E: PartialEq>(wrong: &mut Vec<E>, more: Vec<E>) {
    for one in more {
        if !wrong.contains(&one) {
            wrong.push(one);
        }
    }
}
