// oidc-provider: introspection of opaque access tokens, over the memory adapter that it starts with.
import Provider from 'oidc-provider';
import { announce, users } from './listen.mjs';

const client = { id: 'bench', secret: 'a-secret-of-the-benchmark-that-is-long-enough' };
const provider = new Provider('http://127.0.0.1', {
  clients: [
    {
      client_id: client.id,
      client_secret: client.secret,
      grant_types: ['client_credentials'],
      redirect_uris: [],
      response_types: [],
    },
  ],
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    introspection: { enabled: true, allowedPolicy: () => true },
  },
  findAccount: (_context, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
});
const requests = [];
const owner = await provider.Client.find(client.id);
for (const { login } of users) {
  const grant = new provider.Grant({ accountId: login, clientId: client.id });
  grant.addOIDCScope('openid');
  const grantId = await grant.save();
  const token = new provider.AccessToken({
    accountId: login,
    client: owner,
    grantId,
    scope: 'openid',
    gty: 'authorization_code',
  });
  requests.push({
    headers: {
      Authorization: `Basic ${Buffer.from(`${client.id}:${client.secret}`).toString('base64')}`,
      'Content-Type': 'application/x-www-form-urlencoded',
    },
    body: `token=${await token.save()}`,
  });
}
const server = provider.listen(0, '127.0.0.1', () => {
  announce(server.address().port, { method: 'POST', path: '/token/introspection', requests, contains: '"sub":"bench' });
});
