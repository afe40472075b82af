// Package ecosystem pins the client and all that its own tests need.
package ecosystem

import _ "github.com/hashicorp/consul/api"
