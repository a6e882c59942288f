/** The candidate that a person most likely meant; undefined when none is near. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  const wanted = word.toLowerCase()
  const near = candidates
    .map((candidate) => ({ candidate, edits: edits(wanted, candidate.toLowerCase()) }))
    .filter(({ candidate, edits }) => edits <= Math.max(1, Math.floor(candidate.length / 3)))
    .sort((one, other) => one.edits - other.edits)
  return near[0]?.candidate
}

/** How many letters are typed wrong, too much, too little, or the wrong way round. */
function edits(one: string, other: string): number {
  let older: number[] = []
  let above = Array.from({ length: other.length + 1 }, (_, column) => column)
  for (let row = 1; row <= one.length; row++) {
    const line = [row]
    for (let column = 1; column <= other.length; column++) {
      const same = one[row - 1] === other[column - 1]
      let least = Math.min(
        (above[column - 1] ?? 0) + (same ? 0 : 1),
        (above[column] ?? 0) + 1,
        (line[column - 1] ?? 0) + 1,
      )
      const swapped = one[row - 1] === other[column - 2] && one[row - 2] === other[column - 1]
      if (swapped && row > 1 && column > 1) least = Math.min(least, (older[column - 2] ?? 0) + 1)
      line.push(least)
    }
    older = above
    above = line
  }
  return above[other.length] ?? 0
}
