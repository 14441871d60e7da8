/** What can go wrong in an evaluation, told by Nix's message; each with the advice that fits. Pure. */
import type { ErrorCode } from '../base/error.ts';

export interface Reason {
  readonly code: ErrorCode;
  /** A stable word for programs. */
  readonly reason: string;
  readonly hint: string;
  /** Replaces Nix's message where that one is unclear by itself. */
  readonly message?: string;
  readonly fields?: Readonly<Record<string, unknown>>;
}

interface ReasonRule {
  readonly pattern: RegExp;
  /** Look at the whole trace, not just at the final message. */
  readonly anywhere?: boolean;
  readonly make: (match: RegExpExecArray) => Omit<Reason, 'code'> & { readonly code?: ErrorCode };
}

/** The first rule that fits wins, so the narrow ones come first. */
const RULES: readonly ReasonRule[] = [
  {
    pattern:
      /^(syntax error|.*unexpected end of file|.*attribute '.+' already defined at|path has a trailing slash|dynamic attributes not allowed)/,
    make: () => ({
      code: 'syntax-error',
      reason: 'syntax',
      hint: 'Correct the marked place; often a `;` or a closing bracket is missing just before it.',
    }),
  },
  {
    pattern: /undefined variable '([^']+)'/,
    make: ([, name]) => ({
      reason: 'undefined-variable',
      hint: `Define \`${name}\`, take it from a package set (\`pkgs.${name}\`, \`with pkgs;\`), or correct its spelling.`,
      fields: { variable: name },
    }),
  },
  {
    pattern: /^attribute '([^']+)' in selection path '([^']+)' not found/,
    make: ([, name, path]) => ({
      reason: 'missing-attribute',
      hint: `Choose another attribute than \`${path}\`.`,
      fields: { attribute: name, path },
    }),
  },
  {
    pattern: /^flake '([^']+)' does not provide attribute (.+)/,
    make: ([, flake, tried]) => ({
      reason: 'missing-attribute',
      hint: `\`nix flake show ${flake}\` lists what it provides.`,
      fields: { flake, tried: [...(tried ?? '').matchAll(/'([^']+)'/g)].map((match) => match[1]) },
    }),
  },
  {
    pattern: /^attribute '([^']+)' missing/,
    make: ([, name]) => ({
      reason: 'missing-attribute',
      hint: `\`${name}\` is not in that set; check its spelling and the version of the package set.`,
      fields: { attribute: name },
    }),
  },
  {
    pattern: /^infinite recursion encountered/,
    make: () => ({
      reason: 'infinite-recursion',
      hint: 'The marked value is needed to compute itself; break the cycle, e.g. by `prev` instead of `final` in an overlay, or by dropping `rec`.',
    }),
  },
  {
    pattern: /stack overflow|max-call-depth/,
    make: () => ({
      reason: 'stack-overflow',
      hint: 'A function calls itself without an end; give the recursion a last step.',
    }),
  },
  {
    pattern: /file '([^']+)' was not found in the Nix search path/,
    make: ([, name]) => ({
      reason: 'missing-search-path',
      message: `<${name}> is not known to this build`,
      hint:
        name === 'nixpkgs' || name?.startsWith('nixpkgs/')
          ? 'Choose what <nixpkgs> stands for with `--packages basis` or `--packages nixpkgs`.'
          : `Only <nixpkgs> can be found here; import \`${name}\` by a path or with fetchTarball.`,
      fields: { name },
    }),
  },
  {
    pattern: /has an unfree license|is not available.*unfree|allowUnfree/s,
    anywhere: true,
    make: () => ({
      reason: 'unfree-package',
      hint: 'Allow it in the expression: `import <nixpkgs> { config.allowUnfree = true; }`.',
    }),
  },
  {
    pattern: /is marked as insecure|permittedInsecurePackages/,
    anywhere: true,
    make: () => ({
      reason: 'insecure-package',
      hint: 'Use a newer version, or allow exactly this one with `config.permittedInsecurePackages`.',
    }),
  },
  {
    pattern: /is marked as broken|allowBroken/,
    anywhere: true,
    make: () => ({
      reason: 'broken-package',
      hint: 'Use another version of the package set in which it works.',
    }),
  },
  {
    pattern: /not available on the requested hostPlatform|is not supported on|allowUnsupportedSystem/,
    anywhere: true,
    make: () => ({
      reason: 'unsupported-platform',
      hint: 'The package does not exist for this kind of machine; choose another.',
    }),
  },
  {
    pattern: /access to (?:absolute path|path|canonical path) '([^']+)' is forbidden/,
    make: ([, path]) => ({
      reason: 'path-forbidden',
      hint: 'An expression sees only its own folder and the package set; copy what it needs into the source.',
      fields: { path },
    }),
  },
  {
    pattern: /access to URI '([^']+)' is forbidden/,
    make: ([, uri]) => ({
      reason: 'uri-forbidden',
      hint: 'This address may not be fetched during evaluation; put the files into the source, or fetch them in a fixed-output derivation.',
      fields: { uri },
    }),
  },
  {
    pattern:
      /is forbidden in (?:pure|restricted) (?:evaluation )?mode|is not allowed to refer to a store path|in pure evaluation mode/,
    make: () => ({
      reason: 'impure',
      hint: 'Flakes are evaluated without the machine around them; name every input in `inputs` and lock it.',
    }),
  },
  {
    pattern: /(?:builder for|Cannot build) '([^']+\.drv)'|dependencies? of derivation '([^']+\.drv)' failed/,
    make: ([, builder, dependency]) => ({
      reason: 'import-from-derivation',
      message: `Evaluation needs the result of ${builder ?? dependency}, and building that failed`,
      hint: 'The expression imports a file that has to be built first; build that derivation by itself to see why it fails.',
      fields: { drvPath: builder ?? dependency },
    }),
  },
  {
    pattern:
      /(?:unable to download|cannot fetch|while fetching)[^\n]*?['/]((?:https:\/\/)?(?:api\.)?github\.com\/[^'\s]*nixpkgs[^'\s]*)|cannot find flake 'flake:nixpkgs'/i,
    anywhere: true,
    make: ([, url]) => ({
      code: 'dependency-fetch',
      reason: 'network',
      hint: 'This machine does not reach that nixpkgs. `--packages basis` builds the flake with the package set that comes with Kiln instead; it has few packages.',
      fields: url === undefined ? {} : { url },
    }),
  },
  {
    pattern:
      /unable to download '([^']+)'|Could(?: not|n't) resolve host|Could not connect to server|Failed to open archive/,
    anywhere: true,
    make: ([, url]) => ({
      code: 'dependency-fetch',
      reason: 'network',
      hint: 'Check that this machine reaches the address; the next attempt reuses what was already fetched.',
      fields: url === undefined ? {} : { url },
    }),
  },
  {
    pattern: /hash mismatch in (?:file|path|tarball)|NAR hash mismatch/,
    make: () => ({
      code: 'hash-mismatch',
      reason: 'hash-mismatch',
      hint: 'What was fetched is not what the expression or the lock file states; update the hash if the change is wanted.',
    }),
  },
  {
    pattern: /path '([^']+)' does not exist|getting status of '([^']+)': No such file/,
    make: ([, path, other]) => ({
      reason: 'missing-file',
      hint: 'Check the spelling; in a Git repository the file must be committed.',
      fields: { path: path ?? other },
    }),
  },
  {
    pattern: /cannot evaluate a function that has an argument without a value \('([^']+)'\)/,
    make: ([, name]) => ({
      reason: 'missing-argument',
      message: `The expression is a function whose argument \`${name}\` has no default value`,
      hint: `Give it one: \`{ ${name} ? … }:\`. A package for callPackage is built by a file of its own, named by build.file in kiln.toml: \`with import <nixpkgs> {}; callPackage ./default.nix {}\`.`,
      fields: { argument: name },
    }),
  },
  {
    pattern: /does not evaluate to a derivation|is not a derivation/,
    make: () => ({
      reason: 'not-a-derivation',
      hint: 'The expression, or the chosen attribute, must be something to build, such as the result of `stdenv.mkDerivation`.',
    }),
  },
  {
    pattern: /out of memory|bad_alloc|Too many heap sections|heap size exceeded/i,
    anywhere: true,
    make: () => ({
      code: 'too-large',
      reason: 'memory',
      message: 'The evaluation needs more memory than it may have',
      hint: 'Look for an endless list or recursion in the expression, or raise the memory limit for evaluations.',
    }),
  },
  {
    pattern: /while evaluating the condition of the assertion|^assertion '.*' failed/s,
    anywhere: true,
    make: () => ({
      reason: 'assertion',
      hint: 'The expression itself demands this condition; see the marked `assert`.',
    }),
  },
  {
    pattern: /while calling the '(throw|abort)' builtin/,
    anywhere: true,
    make: ([, builtin]) => ({
      reason: builtin === 'abort' ? 'abort' : 'throw',
      hint: 'This message comes from the expression itself.',
    }),
  },
];

/** @param message the innermost message; `text` the whole trace */
export function findReason(message: string, text: string): Reason {
  for (const rule of RULES) {
    const match = rule.pattern.exec(rule.anywhere === true ? text : message);
    if (match !== null) return { code: 'evaluation-failed', ...rule.make(match) };
  }
  return {
    code: 'evaluation-failed',
    reason: 'other',
    hint: 'The marked place is where Nix gave up; the cause may lie in what calls it.',
  };
}
