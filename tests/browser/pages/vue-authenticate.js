import axios from 'axios';
import VueAuthenticate from 'vue-authenticate';
import VueAxios from 'vue-axios';
import Vue from 'vue2';

// As its guide says, with the one setting that Cardea asks for, and a base URL where Cardea is elsewhere.
const baseUrl = new URLSearchParams(location.search).get('baseUrl');

Vue.use(VueAxios, axios);
Vue.use(VueAuthenticate, { baseUrl, tokenPath: 'token' });

const { $auth, $http } = new Vue();

window.page = {
  signIn: (user) => $auth.login(user).then(({ data }) => data),
  readSession: () => $http.get(`${baseUrl ?? ''}/auth/session`).then(({ data }) => data),
  token: () => $auth.getToken(),
  isSignedIn: () => $auth.isAuthenticated(),
};
