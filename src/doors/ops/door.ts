import type { Door, Exchange } from '../../http/door.ts';
import type { Fault } from '../../http/faults.ts';
import { prepareAnswers } from '../../http/headers.ts';

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

const send = prepareAnswers({ 'Content-Type': 'application/json; charset=utf-8' });
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
      { method: 'GET', path: '/healthz', answer: (exchange) => tell(exchange, 200, 'alive') },
      { method: 'GET', path: '/readyz', answer: (exchange) => answerReadiness(exchange, isReady) },
    ],
    answerFault: (fault, exchange, detail) => {
      const status = statuses[fault];
      const allow = detail.allow === undefined ? {} : { Allow: detail.allow };
      return tell(exchange, status, fault, { ...allow, ...(status === 503 && retryLater) });
    },
  };
}

async function answerReadiness(exchange: Exchange, isReady: () => Promise<boolean>): Promise<Response> {
  if (await isReady()) return tell(exchange, 200, 'ready');
  return tell(exchange, 503, 'not_ready', retryLater);
}

function tell(exchange: Exchange, status: number, word: string, headers?: Readonly<Record<string, string>>): Response {
  return send(exchange, status, JSON.stringify({ status: word }), headers);
}
