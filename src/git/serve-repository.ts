/** Serves one repository read-only over HTTP on this machine, through git's own `http-backend`. */
import { realpath } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { basename } from 'node:path';
import { KilnError, systemErrorCode } from '../base/error.ts';
import { streamProcess } from '../process/stream-process.ts';
import { localEnvironment } from './git-environment.ts';
import { runLocalGit } from './git-session.ts';

export interface ServeRepositoryOptions {
  /** Default 0: any free port. */
  readonly port?: number;
  /** Default 127.0.0.1. */
  readonly host?: string;
  /** Last part of the address; default the folder's name. */
  readonly name?: string;
  /** Called before each request is answered; `false` means it was answered already (authentication, redirects). */
  readonly admit?: (request: IncomingMessage, response: ServerResponse) => boolean;
}

export interface ServedRepository extends AsyncDisposable {
  /** `http://127.0.0.1:PORT/NAME.git` */
  readonly url: string;
  readonly port: number;
}

/** @param directory a repository, bare or with a work tree. @throws KilnError port-taken, git-not-found, tool-missing */
export async function serveRepository(
  directory: string,
  options: ServeRepositoryOptions = {},
): Promise<ServedRepository> {
  const folder = await realpath(directory).catch(() => directory);
  const probe = await runLocalGit(['rev-parse', '--absolute-git-dir'], { cwd: folder });
  const gitDir = probe.stdout.trim();
  const name = options.name ?? basename(folder).replace(/\.git$/, '');
  const prefix = `/${encodeURIComponent(name)}.git`;
  const server = createServer((request, response) => {
    if (options.admit?.(request, response) === false) return;
    const [path = '', query = ''] = (request.url ?? '').split('?', 2);
    if (path !== prefix && !path.startsWith(`${prefix}/`))
      response.writeHead(404).end('no such repository\n');
    else runBackend(request, response, gitDir, path.slice(prefix.length), query);
  });
  const host = options.host ?? '127.0.0.1';
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(listenFailure(error, options.port ?? 0)));
    server.listen(options.port ?? 0, host, resolve);
  });
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return {
    url: `http://${host}:${port}${prefix}`,
    port,
    [Symbol.asyncDispose]: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}

/** The CGI program of git; the response starts with its headers (RFC 3875 §6). */
function runBackend(
  request: IncomingMessage,
  response: ServerResponse,
  gitDir: string,
  path: string,
  query: string,
): void {
  const backend = streamProcess('git', ['http-backend'], {
    ...localEnvironment([
      ['safe.directory', gitDir],
      ['http.receivepack', 'false'],
      ['uploadpack.allowFilter', 'true'],
    ]),
    GIT_PROJECT_ROOT: gitDir,
    GIT_HTTP_EXPORT_ALL: '1',
    PATH_INFO: path,
    QUERY_STRING: query,
    REQUEST_METHOD: request.method ?? 'GET',
    CONTENT_TYPE: request.headers['content-type'] ?? '',
    CONTENT_LENGTH: request.headers['content-length'] ?? '',
    HTTP_CONTENT_ENCODING: request.headers['content-encoding'] ?? '',
    GIT_PROTOCOL: headerText(request.headers['git-protocol']),
    REMOTE_ADDR: request.socket.remoteAddress ?? '',
  });
  const { output } = backend;
  request.pipe(backend.input);
  response.on('close', () => backend[Symbol.dispose]());
  let head = Buffer.alloc(0);
  const readHead = (chunk: Buffer): void => {
    head = Buffer.concat([head, chunk]);
    const end = head.indexOf('\r\n\r\n');
    if (end < 0) return;
    output.off('data', readHead);
    writeHead(response, head.subarray(0, end).toString('latin1'));
    response.write(head.subarray(end + 4));
    output.pipe(response);
  };
  const fail = (text: string): void => {
    if (response.headersSent) response.destroy();
    else response.writeHead(500).end(text);
  };
  output.on('data', readHead);
  output.on('error', () => fail('git could not be started\n'));
  output.on('end', () => {
    if (!response.headersSent) fail('git gave no answer\n');
  });
}

function writeHead(response: ServerResponse, head: string): void {
  let status = 200;
  for (const line of head.split('\r\n')) {
    const [name = '', value = ''] = line.split(/:\s*/, 2);
    if (name.toLowerCase() === 'status') status = Number(value.slice(0, 3));
    else if (name !== '') response.setHeader(name, line.slice(line.indexOf(':') + 1).trim());
  }
  response.writeHead(status);
}

function headerText(value: string | string[] | undefined): string {
  return Array.isArray(value) ? value.join(',') : (value ?? '');
}

function listenFailure(error: Error, port: number): KilnError {
  if (systemErrorCode(error) === 'EADDRINUSE') {
    return new KilnError('port-taken', `Port ${port} is already in use`, {
      hint: 'Choose another port, or 0 for any free one.',
      cause: error,
    });
  }
  return new KilnError('port-taken', `The address could not be opened: ${error.message}`, { cause: error });
}
