/** Names the reason why a program did not start, from its exit code and its last words. */
import type { ContainerProcess } from '../runtime/runtime-spec.ts';

export interface StartFailure {
  readonly detail: string;
  readonly exitCode?: number;
  readonly tail: readonly string[];
  readonly program: ContainerProcess;
}

interface Explanation {
  readonly reason: string;
  readonly hint: string;
}

interface Row {
  readonly pattern: RegExp;
  readonly explain: (match: RegExpExecArray, failure: StartFailure) => Explanation;
}

/** First match wins; the more particular rows stand first. */
const ROWS: readonly Row[] = [
  {
    pattern: /error while loading shared libraries: ([^\s:]+)/,
    explain: (match) => ({
      reason: `missing library: ${match[1]} is not in the image`,
      hint: 'Add the package that has it to buildInputs; for foreign binaries patch their rpath (patchelf --set-rpath).',
    }),
  },
  {
    pattern: /exec format error/i,
    explain: (_match, { program }) => ({
      reason: `wrong architecture, or no interpreter line: ${program.args[0]} cannot be run by this kernel`,
      hint: 'Build for this system, or begin the script with #! and the path of its interpreter.',
    }),
  },
  {
    pattern: /exec: [^\n]*permission denied|exec[^\n]*: permission denied/i,
    explain: (_match, { program }) => ({
      reason: `${program.args[0]} is not executable`,
      hint: 'Set its executable bit in the installPhase (chmod +x), or choose another entry point.',
    }),
  },
  {
    pattern: /exec[^\n]*?[`'"\\]*(\/[^\s`'":]+)[`'"]?: (?:no such file or directory)/i,
    explain: (match) => ({
      reason: `missing program or interpreter: ${match[1]} does not exist in the image, or what its first line or ELF header names does not`,
      hint: 'Check the entry point (`kiln image REF`); a script needs its interpreter in the closure, a foreign binary its loader.',
    }),
  },
  {
    pattern: /(?:executable file (?:`|")?([^\s`"]+)(?:'|`|")? not found|open executable: no such file)/i,
    explain: (match, { program }) => ({
      reason: `missing program: ${match[1] ?? program.args[0]} does not exist in the image`,
      hint: 'Set image.entrypoint in kiln.toml to a path inside the image.',
    }),
  },
  {
    pattern: /chdir to ['"`]?(\/[^'"`\s:]+)/i,
    explain: (match) => ({
      reason: `missing directory: the working directory ${match[1]} does not exist in the image`,
      hint: 'Set image.workdir to a directory of the image, or add it to image.writable.',
    }),
  },
  {
    pattern:
      /(\/[^\s'"`:]*): ?(?:read-only file system)|(?:EROFS|read-only file system)[^/\n]*(\/[^\s'"`:]*)/i,
    explain: (match) => ({
      reason: `read-only: the program writes to ${match[1] ?? match[2]}`,
      hint: (match[1] ?? match[2] ?? '').startsWith('/nix/store/')
        ? 'Nothing can write there. Let the program write below /tmp or a directory of image.writable; a template starts it in a copy of its folder with `writable = true` below [build] in kiln.toml.'
        : 'Add the directory to image.writable in kiln.toml, or let the program write below /tmp.',
    }),
  },
  {
    pattern:
      /(?:listen|bind)[^\n]*?(?::(\d+))?[^\n]*(?:EACCES|permission denied)|(?:EACCES|permission denied)[^\n]*?(?:listen|bind|0\.0\.0\.0)(?::(\d+))?/i,
    explain: (match, { program }) => ({
      reason: `user ${program.uid} may not listen on port ${match[1] ?? match[2] ?? 'below 1024'}`,
      hint: 'Let the program listen on a port from 1024 on (image.ports, or the variable PORT).',
    }),
  },
  {
    pattern: /(?:EACCES|permission denied)[^/\n]*(\/[^\s'"`:,)]*)|(\/[^\s'"`:,)]*):? ?(?:permission denied)/i,
    explain: (match, { program }) => ({
      reason: `permission denied for user ${program.uid}: ${match[1] ?? match[2]}`,
      hint: 'Add the directory to image.writable, choose another image.user, or mark the program executable.',
    }),
  },
  {
    pattern:
      /(?:ENOENT|no such file or directory)[^/\n]*(\/(?!proc)[^\s'"`:,)]*)|(\/[^\s'"`:,)]*):? ?(?:no such file or directory)/i,
    explain: (match) => ({
      reason: `missing file or directory: ${match[1] ?? match[2]} does not exist in the image`,
      hint: 'Add it with image.files or image.writable, or let the derivation refer to its store path.',
    }),
  },
  {
    // As the shells dash and BusyBox say it.
    pattern: /cannot create ([^\n:]+): directory nonexistent|can't create ([^\n:]+): nonexistent directory/i,
    explain: (match) => ({
      reason: `missing directory: the folder of ${match[1] ?? match[2]} does not exist in the image`,
      hint: 'Add the folder to image.writable in kiln.toml, or let the program write below /tmp.',
    }),
  },
  {
    pattern: /EADDRINUSE|address already in use/i,
    explain: () => ({
      reason: 'the program could not listen: its address is in use inside the container',
      hint: 'Two parts of the program want the same port; give one of them another.',
    }),
  },
  {
    pattern:
      /unable to open database file|attempt to write a readonly database|SQLITE_CANTOPEN|SQLITE_READONLY/i,
    explain: (_match, { program }) => ({
      reason: 'the program cannot write its database file: its own folder is read-only',
      hint: `Let it keep the file below /tmp or a directory of image.writable (a variable in image.env usually says where), or write \`writable = true\` below [build] in kiln.toml to start it in a copy of its folder${program.cwd === '/' ? '' : ` (it starts in ${program.cwd})`}.`,
    }),
  },
  {
    pattern:
      /(?:missing|required|must be set|is not set|not defined|undefined|provide)[^\n]*?\b([A-Z][A-Z0-9]*_[A-Z0-9_]+)\b|\b([A-Z][A-Z0-9]*_[A-Z0-9_]+)\b[^\n]*?(?:missing|required|must be set|is not set|not defined|undefined)|KeyError: '([A-Z][A-Z0-9_]+)'/,
    explain: (match) => {
      const name = match[1] ?? match[2] ?? match[3];
      return {
        reason: `the program wants the variable ${name}`,
        hint: `Give it with -e ${name}=VALUE, or as env = { ${name} = "…" } below [image] in kiln.toml.`,
      };
    },
  },
  {
    pattern: /certificate|x509|SSL routines/i,
    explain: () => ({
      reason: 'TLS failed while starting: no CA certificates, or no way to the network',
      hint: 'The check runs without a network; a program should start without one and connect later.',
    }),
  },
  {
    pattern:
      /ENOTFOUND|EAI_AGAIN|getaddrinfo|name resolution|network is unreachable|ECONNREFUSED|connection refused/i,
    explain: () => ({
      reason:
        'the program needs another service to start, such as a database, and the check runs without a network',
      hint: 'Let it start without that service and connect later. Where it cannot, build with --no-image, or set [health] in kiln.toml to what it can do alone.',
    }),
  },
];

export function explainStartFailure(failure: StartFailure): Explanation {
  const text = failure.tail.join('\n');
  for (const row of ROWS) {
    const match = row.pattern.exec(text);
    if (match !== null) return row.explain(match, failure);
  }
  return explainExit(failure);
}

function explainExit(failure: StartFailure): Explanation {
  const program = failure.program.args[0] ?? 'the program';
  const listening = /it listens on (\d+)/.exec(failure.detail)?.[1];
  switch (failure.exitCode) {
    case undefined:
      if (listening !== undefined) {
        return {
          reason: `${program} runs, but ${failure.detail}`,
          hint: `Write ports = [${listening}] below [image] in kiln.toml, or let the program listen on the port in the variable PORT.`,
        };
      }
      return {
        reason: `${program} runs but did not answer (${failure.detail})`,
        hint: 'Check [health] port and path in kiln.toml, and that the program listens on 0.0.0.0 or 127.0.0.1.',
      };
    case 126:
      return { reason: `${program} is not executable`, hint: 'Set its executable bit in the installPhase.' };
    case 127:
      if (failure.tail.length > 0 && !/not found|no such file/i.test(failure.tail.join('\n'))) break;
      return {
        reason: `${program}, or a command it calls, was not found`,
        hint: 'Add the package to the closure.',
      };
    case 137:
      return { reason: `${program} was killed (out of memory?)`, hint: 'Give the machine more memory.' };
    case 139:
      return {
        reason: `${program} crashed (segmentation fault)`,
        hint: 'Run it outside Kiln to find out why.',
      };
    case 2:
    case 64:
      return {
        reason: `${program} ended with exit code ${failure.exitCode}: it seems to want arguments`,
        hint: 'For a command-line program write cmd = ["--version"] below [image] and exit = true below [health] in kiln.toml, or build with --no-image.',
      };
    case 0:
      return {
        reason: `${program} ended at once, though it should keep running`,
        hint: 'Start it in the foreground, or set [health] exit = true when it is meant to end.',
      };
    default:
  }
  return {
    reason: `${program} ended with exit code ${failure.exitCode}`,
    hint: 'Its last words stand above.',
  };
}
