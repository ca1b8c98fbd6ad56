/** Status and parsed body of one call; 0 for a call that got no answer, whose outcome is unknown. */
export type Answer = { readonly status: number; readonly body: Record<string, unknown> };

export type Call = {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as JSON. */
  readonly body?: unknown;
};

/** One call to a server that may be killed meanwhile. */
export async function call(url: string, { method = 'GET', headers = {}, body }: Call = {}): Promise<Answer> {
  try {
    const response = await fetch(url, {
      method,
      headers: { ...(body !== undefined && { 'Content-Type': 'application/json' }), ...headers },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  } catch {
    return { status: 0, body: {} };
  }
}

/** The two doors that give out tokens, each way in and way to ask. */
export type Doors = ReturnType<typeof doorsOf>;

export function doorsOf(url: string) {
  const post = (path: string, more: Call = {}) => call(url + path, { method: 'POST', ...more });
  return {
    restLogin: (login: string, password: string) => post('/v2/auth/login', { body: { login, password } }),
    webLogin: (email: string, password: string) => post('/auth/login', { body: { email, password } }),
    restSession: (token: string) => post('/v2/auth/session', { headers: bearer(token) }),
    webSession: (token: string) => call(`${url}/auth/session`, { headers: bearer(token) }),
    keySession: (key: string) => post('/v2/auth/session', { headers: { 'X-API-Key': key } }),
    restLogout: (token: string) => post('/v2/auth/logout', { headers: bearer(token) }),
    webLogout: (token: string) => post('/auth/logout', { headers: bearer(token) }),
    refresh: (token: string) => post('/v2/auth/refresh', { body: { token } }),
    makeKey: (token: string, userId: number) => post(`/v2/users/key-generate/${userId}`, { headers: bearer(token) }),
    changePassword: (token: string, currentPassword: string, newPassword: string) =>
      call(`${url}/v2/auth/password`, {
        method: 'PUT',
        headers: bearer(token),
        body: { currentPassword, newPassword },
      }),
  };
}

/** The token in a login's or refresh's answer, whichever door gave it. */
export function tokenOf({ body }: Answer): string {
  const data = (body['data'] ?? body) as { token?: unknown };
  return String(data.token);
}

function bearer(token: string): { Authorization: string } {
  return { Authorization: `Bearer ${token}` };
}
