/** Asks a program behind a gateway whether it answers. */
import { request } from 'node:http';

export interface ProbeAnswer {
  readonly ok: boolean;
  /** `HTTP 200`, `accepted`, or why there was no answer. */
  readonly detail: string;
}

const ATTEMPT_MS = 5000;

/** One GET; 2xx and 3xx are good. */
export function probeHttp(socketPath: string, path: string): Promise<ProbeAnswer> {
  return new Promise((resolve) => {
    const outgoing = request(
      { socketPath, path, headers: { host: 'localhost', connection: 'close' } },
      (response) => {
        const status = response.statusCode ?? 0;
        response.resume();
        resolve({ ok: status >= 200 && status < 400, detail: `HTTP ${status}` });
      },
    );
    outgoing.setTimeout(ATTEMPT_MS, () => outgoing.destroy(new Error('no answer within 5 s')));
    outgoing.on('error', (error) => resolve({ ok: false, detail: error.message }));
    outgoing.end();
  });
}
