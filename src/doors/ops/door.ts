import type { Door, Exchange } from '../../http/door.ts';
import type { Fault } from '../../http/faults.ts';
import { jsonAnswer } from '../../http/headers.ts';

const statuses: Readonly<Record<Fault, number>> = {
  bad_host: 400,
  repeated_header: 400,
  bad_json: 400,
  not_found: 404,
  method_not_allowed: 405,
  body_too_large: 413,
  unsupported_media_type: 415,
  internal: 500,
  too_slow: 503,
  stopping: 503,
};

const retryLater = { 'Retry-After': '2' };

/**
 * For whoever operates the server: `/healthz` while the process lives, `/readyz` while it can do its work. Neither tells a version.
 * Also the answer to every path that no contract owns.
 */
export function createOps(isReady: () => Promise<boolean>): Door {
  return {
    name: 'ops',
    owns: [],
    routes: [
      { method: 'GET', path: '/healthz', answer: (exchange) => jsonAnswer(exchange, 200, { status: 'alive' }) },
      { method: 'GET', path: '/readyz', answer: (exchange) => answerReadiness(exchange, isReady) },
    ],
    answerFault: (fault, exchange, detail) => {
      const status = statuses[fault];
      const allow = detail.allow === undefined ? {} : { Allow: detail.allow };
      return jsonAnswer(exchange, status, { status: fault }, { ...allow, ...(status === 503 && retryLater) });
    },
  };
}

async function answerReadiness(exchange: Exchange, isReady: () => Promise<boolean>): Promise<Response> {
  if (await isReady()) return jsonAnswer(exchange, 200, { status: 'ready' });
  return jsonAnswer(exchange, 503, { status: 'not_ready' }, retryLater);
}
