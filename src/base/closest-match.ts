/** "Did you mean": the names nearest to a misspelt one. */

/** At most `limit` of `names`, nearest first; only those that a typing mistake or a forgotten part explains. */
export function closestMatches(name: string, names: Iterable<string>, limit = 3): string[] {
  const wanted = name.toLowerCase();
  const rated: { candidate: string; distance: number }[] = [];
  for (const candidate of names) {
    const other = candidate.toLowerCase();
    const within =
      wanted.length >= 3 && (other.includes(wanted) || (other.length >= 3 && wanted.includes(other)));
    const distance = within ? 1 : editDistance(wanted, other);
    if (distance <= Math.max(1, Math.floor(wanted.length / 3))) rated.push({ candidate, distance });
  }
  rated.sort((a, b) => a.distance - b.distance || (a.candidate < b.candidate ? -1 : 1));
  return rated.slice(0, limit).map((entry) => entry.candidate);
}

/** Insertions, deletions, replacements and swaps of neighbours. Names longer than 64 characters count as far apart. */
function editDistance(a: string, b: string): number {
  if (a.length > 64 || b.length > 64) return a === b ? 0 : 64;
  let beforePrevious: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const same = a[row - 1] === b[column - 1];
      let cost = Math.min(
        (previous[column] ?? 0) + 1,
        (current[column - 1] ?? 0) + 1,
        (previous[column - 1] ?? 0) + (same ? 0 : 1),
      );
      if (row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]) {
        cost = Math.min(cost, (beforePrevious[column - 2] ?? 0) + 1);
      }
      current.push(cost);
    }
    beforePrevious = previous;
    previous = current;
  }
  return previous[b.length] ?? 0;
}
