// The telltale beginnings of secrets. They are refused wherever they stand on a command line, because
// every program on the machine can read it there.
const BEGINNINGS = [
  /^sk[-_](?=[\w-]*\d)[\w-]{16,}$/i,
  /^rk_(live|test)_\w{8,}$/,
  /^gh[opsur]_\w{16,}$/,
  /^github_pat_\w{8,}$/,
  /^glpat-[\w-]{8,}$/,
  /^xox[a-z]-[\w-]{8,}$/,
  /^xapp-[\w-]{8,}$/,
  /^(AKIA|ASIA)[A-Z0-9]{12,}$/,
  /^AIza[\w-]{20,}$/,
  /^ya29\.[\w.-]{8,}$/,
  /^(npm|hf|dop_v1|shpat|pypi)[_-]\w{16,}$/,
  /^vk_[a-z0-9]{8,40}_[\w-]{16,}$/,
  /^SG\.[\w-]{8,}\.[\w-]{8,}$/,
  /^eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]*$/,
]
const BETWEEN_WORDS = /[\s=:,;"'{}()[\]&?]+/
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i
const LONG_RUN = 24

/** Some word of the text begins as secrets do. */
export function holdsKey(text: string): boolean {
  return (
    text.includes('-----BEGIN') ||
    text.split(BETWEEN_WORDS).some((word) => BEGINNINGS.some((beginning) => beginning.test(word)))
  )
}

/** For the place of a name, where nobody writes a long run of letters and digits by hand. */
export function looksLikeKey(text: string): boolean {
  return holdsKey(text) || UUID.test(text) || text.split(/[^a-zA-Z0-9]+/).some(isLongRun)
}

function isLongRun(run: string): boolean {
  return run.length >= LONG_RUN && /\d/.test(run) && /[a-z]/i.test(run)
}

/** The text with whatever looks like a key taken out. */
export function withoutKeys(text: string): string {
  return text.replaceAll(/[^\s"'()[\]{},;:=]+/g, (word) => (looksLikeKey(word) ? '[secret]' : word))
}
