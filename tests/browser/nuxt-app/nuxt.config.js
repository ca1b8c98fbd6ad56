/** The library as it comes, with nothing set but where Cardea is; `NUXT_PUBLIC_AUTH_BASE_URL` moves that for each test. */
export default {
  compatibilityDate: '2026-01-01',
  telemetry: false,
  modules: ['@sidebase/nuxt-auth'],
  auth: { baseURL: 'https://auth.example.com/auth', provider: { type: 'local' } },
};
