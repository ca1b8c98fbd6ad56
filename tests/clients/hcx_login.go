// A provider-style client of the web login: no Content-Type, no Accept; failures come as entry/string pairs, the token in a header.
// Prints one word a line: the message of a wrong login, then the status of a check with the token of a right one.
package main

import (
	"crypto/tls"
	"encoding/xml"
	"fmt"
	"net/http"
	"os"
	"strings"
)

type entry struct {
	Strings []string `xml:"string"`
}

type failure struct {
	XMLName xml.Name `xml:"map"`
	Entries []entry  `xml:"entry"`
}

func main() {
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	login := func(password string) *http.Response {
		body := fmt.Sprintf(`{"username":%q,"password":%q}`, os.Getenv("HCX_USERNAME"), password)
		request, err := http.NewRequest("POST", os.Getenv("HCX_WEB")+"/hybridity/api/sessions", strings.NewReader(body))
		check(err)
		response, err := client.Do(request)
		check(err)
		return response
	}

	refused := login("not the password")
	var told failure
	check(xml.NewDecoder(refused.Body).Decode(&told))
	for _, one := range told.Entries {
		if one.Strings[0] == "message" {
			fmt.Println(refused.StatusCode, one.Strings[1])
		}
	}

	accepted := login(os.Getenv("HCX_PASSWORD"))
	token := accepted.Header.Get("X-Hm-Authorization")
	request, err := http.NewRequest("GET", os.Getenv("HCX_APPLIANCE")+"/api/admin/v1/sessions", nil)
	check(err)
	request.Header.Set("X-Hm-Authorization", token)
	session, err := client.Do(request)
	check(err)
	fmt.Println(accepted.StatusCode, session.StatusCode)
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
