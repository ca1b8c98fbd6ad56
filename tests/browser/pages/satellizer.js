import angular from 'angular';
import 'satellizer';

// Defaults, and a base URL where Cardea is elsewhere.
const baseUrl = new URLSearchParams(location.search).get('baseUrl');

angular
  .module('page', ['satellizer'])
  .config([
    '$authProvider',
    ($authProvider) => {
      if (baseUrl !== null) $authProvider.baseUrl = baseUrl;
    },
  ])
  .run([
    '$auth',
    '$http',
    ($auth, $http) => {
      window.page = {
        signIn: (user) => $auth.login(user).then(({ data }) => data),
        readSession: () => $http.get(`${baseUrl ?? ''}/auth/session`).then(({ data }) => data),
        token: () => $auth.getToken(),
        isSignedIn: () => $auth.isAuthenticated(),
      };
    },
  ]);

angular.bootstrap(document.documentElement, ['page']);
