// What the page shows about the process that serves it.
import { hostname } from 'node:os';

const STORE = /^\/nix\/store\/([0-9a-z]{32})-([^/]+)/;

/** `storePath` is the folder that Nix built this application into, or undefined in a checkout. */
export function facts(environment, folder, startedAt, now) {
  const storePath = STORE.exec(folder);
  return {
    build: storePath === null ? 'a checkout, not a build' : `${storePath[1].slice(0, 12)}…-${storePath[2]}`,
    storePath: storePath === null ? folder : storePath[0],
    commit: (environment.KILN_COMMIT ?? '').slice(0, 12),
    runtime: `Node.js ${process.versions.node}`,
    host: environment.HOSTNAME ?? hostname(),
    mode: environment.NODE_ENV ?? 'development',
    uptime: formatUptime(now - startedAt),
  };
}

export function formatUptime(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor((seconds % 3600) / 60)];
  const parts = [
    hours > 0 ? `${hours} h` : '',
    hours + minutes > 0 ? `${minutes} min` : '',
    `${seconds % 60} s`,
  ];
  return parts.filter((part) => part !== '').join(' ');
}
