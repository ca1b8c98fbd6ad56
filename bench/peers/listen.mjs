// What every peer does once it can serve: says its port and how it is asked, as one line of JSON on standard output.

/**
 * @param {number} port
 * @param {{ method: string, path: string, requests: { headers: Record<string, string>, body?: string }[], contains: string }} call
 *   one request per signed-in user, and what each answer contains
 */
export function announce(port, call) {
  process.stdout.write(`${JSON.stringify({ port, ...call })}\n`);
}

/** As many users as Cardea's warm calls go through. */
export const users = Array.from({ length: 16 }, (_, index) => ({
  id: 10_000 + index,
  login: `bench${index}@example.com`,
  networkId: 1,
  mailboxId: 101,
  authLevel: 'MailboxAdmin',
}));

/** Signs every user in by `POST /login` and collects the cookies. */
export async function collectCookies(port) {
  const requests = [];
  for (const { login } of users) {
    const answer = await fetch(`http://127.0.0.1:${port}/login`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ login }),
    });
    if (!answer.ok) throw new Error(`a login was answered ${answer.status}: ${await answer.text()}`);
    const cookies = answer.headers.getSetCookie().map((cookie) => cookie.split(';')[0]);
    requests.push({ headers: { Cookie: cookies.join('; ') } });
  }
  return requests;
}
