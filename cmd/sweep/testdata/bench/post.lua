-- wrk builds this request once and sends it as it is: no Lua runs meanwhile.
wrk.method = "POST"
wrk.body = os.getenv("BODY")
wrk.headers["Content-Type"] = "application/json"
