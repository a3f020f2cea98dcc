"""A strict chat server for the SDK tests. It refuses what OpenAI, vLLM or a strict chat template would refuse, and
answers by what the last user message says:

  plain       a few words              think     reasoning, then words       parallel   two calls, pieces in turn
  in order    two calls, one after the other
  one call    the first tool           json      JSON for the wanted schema  echo       the request it got, as text
  overflow    400, context too long    broken    an error inside the stream  cut        the stream just ends
  limited     429 with retry-after     empty     no words at all             refuse     content filter

After tool results it says `results: …`. Prints its port and serves on loopback until its standard input closes.
"""
import json, struct, base64, sys, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CONTEXT = 65536
WORDS = "Hello there, café 🦀."


class Refused(Exception):
    pass


def text_of(content):
    if isinstance(content, str):
        return content
    return " ".join(part.get("text", "") for part in content or [] if part.get("type") == "text")


def strict(request):
    """The rules of a strict server; Refused says which one was broken."""
    messages = request.get("messages")
    if not isinstance(messages, list) or not messages:
        raise Refused("no messages")
    owed = []
    for at, message in enumerate(messages):
        role, content = message.get("role"), message.get("content")
        if role != "tool" and owed:
            raise Refused(f"calls {owed} are not answered before message {at}")
        if role == "system" and at != 0:
            raise Refused("System message must be at the beginning.")
        if role not in ("system", "user", "assistant", "tool"):
            raise Refused(f"Unexpected message role {role}.")
        if role != "assistant" and not isinstance(content, (str, list)):
            raise Refused(f"message {at} has no content")
        if isinstance(content, list) and any(p.get("type") == "text" and not p.get("text") for p in content):
            raise Refused(f"message {at} has an empty text")
        if role == "tool":
            if message.get("tool_call_id") not in owed:
                raise Refused(f"message {at} answers no call")
            owed.remove(message["tool_call_id"])
        if "tool_calls" in message:
            if not message["tool_calls"]:
                raise Refused("tool_calls must not be empty")
            for call in message["tool_calls"]:
                if not isinstance(json.loads(call["function"]["arguments"]), dict):
                    raise Refused("arguments are no object")
                owed.append(call["id"])
    if owed:
        raise Refused(f"calls {owed} are not answered")
    if "tools" in request and not request["tools"]:
        raise Refused("tools must not be empty")
    if "tools" not in request and "tool_choice" in request:
        raise Refused("tool_choice without tools")
    known = {"temperature", "top_p", "top_k", "max_tokens", "max_completion_tokens", "messages", "model", "stream",
             "stream_options", "tools", "tool_choice", "parallel_tool_calls", "stop", "seed", "response_format",
             "reasoning_effort", "chat_template_kwargs", "user", "n", "logprobs", "top_logprobs", "presence_penalty",
             "frequency_penalty", "logit_bias", "min_p", "prompt_cache_key", "metadata", "store", "verbosity"}
    if set(request) - known:
        raise Refused(f"Unknown parameter: {sorted(set(request) - known)}")


def arguments(tool):
    """Arguments for a tool, from its schema."""
    parameters = tool["function"].get("parameters") or {}
    made = {}
    for name, schema in parameters.get("properties", {}).items():
        kind = schema.get("type")
        made[name] = {"integer": 7, "number": 1.5, "boolean": True, "array": [], "object": {}}.get(kind, "Paris")
    return made


def calls(pairs):
    """Deltas of calls whose pieces come in turn."""
    deltas = [{"tool_calls": [{"index": n, "id": id, "type": "function", "function": {"name": name, "arguments": ""}}]}
              for n, (id, name, _) in enumerate(pairs)]
    pieces = [[json.dumps(args)[at:at + 5] for at in range(0, len(json.dumps(args)), 5)] for *_, args in pairs]
    for step in range(max(map(len, pieces))):
        for n, mine in enumerate(pieces):
            if step < len(mine):
                deltas.append({"tool_calls": [{"index": n, "function": {"arguments": mine[step]}}]})
    return deltas


def words(text):
    return [{"content": text[at:at + 4]} for at in range(0, len(text), 4)]


def scenario(request):
    """The deltas and the finish reason."""
    messages, tools = request["messages"], request.get("tools", [])
    asked = next((text_of(m["content"]) for m in reversed(messages) if m["role"] == "user"), "")
    if "echo" in asked:
        return words(json.dumps(request)), "stop"
    if messages[-1]["role"] == "tool":
        at = max(n for n, m in enumerate(messages) if m["role"] == "assistant")
        return words("results: " + " | ".join(text_of(m["content"]) for m in messages[at + 1:])), "stop"
    if "parallel" in asked and tools:
        name = tools[0]["function"]["name"]
        return calls([("call_a", name, {"city": "Paris"}), ("call_b", name, {"city": "Oslo"})]), "tool_calls"
    if "in order" in asked and tools:
        name = tools[0]["function"]["name"]
        first, second = calls([("call_a", name, {"city": "Paris"})]), calls([("call_b", name, {"city": "Oslo"})])
        for delta in second:
            delta["tool_calls"][0]["index"] = 1
        return first + second, "tool_calls"
    if "one call" in asked and tools:
        # As vLLM does for a named choice: the finish reason is "stop".
        return calls([("call_a", tools[0]["function"]["name"], arguments(tools[0]))]), "stop"
    if "json" in asked:
        schema = request.get("response_format", {}).get("json_schema", {}).get("schema")
        if not schema and tools:
            # Clients that do not trust the model with schemas ask for a call of a tool that has it.
            return calls([("call_a", tools[0]["function"]["name"], arguments(tools[0]))]), "tool_calls"
        if not schema:
            raise Refused("no schema came")
        return words(json.dumps(arguments({"function": {"parameters": schema}}))), "stop"
    if "think" in asked:
        return [{"reasoning_content": "Let me "}, {"reasoning_content": "see."}] + words("Done thinking."), "stop"
    if "empty" in asked:
        return [], "stop"
    if "refuse" in asked:
        return words("I "), "content_filter"
    if "short" in asked:
        return words("I am cut"), "length"
    return words(WORDS), "stop"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16

    def log_message(self, *_):
        pass

    def answer(self, status, value, headers=()):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        for name, text in headers:
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.path == "/v1/models":
            return self.answer(200, {"object": "list", "data": [{"id": "m", "object": "model", "max_model_len": CONTEXT}]})
        self.answer(404, {"error": {"message": "no such path"}})

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.path == "/v1/embeddings":
            return self.embeddings(request)
        if self.path == "/tokenize":
            return self.answer(200, {"count": len(json.dumps(request["messages"]).split()), "max_model_len": CONTEXT})
        if self.path != "/v1/chat/completions":
            return self.answer(404, {"error": {"message": "no such path"}})
        try:
            strict(request)
            asked = " ".join(text_of(m["content"]) for m in request["messages"][-1:] if m["role"] == "user")
            if "overflow" in asked:
                return self.answer(400, {"error": {"code": 400, "type": "exceed_context_size_error",
                                                   "message": "request (70000 tokens) exceeds the available context size (65536 tokens), try increasing it",
                                                   "n_prompt_tokens": 70000, "n_ctx": 65536}})
            if "limited" in asked:
                return self.answer(429, {"error": {"message": "slow down", "type": "rate_limit_error", "code": 429}}, [("retry-after", "7")])
            deltas, finish = scenario(request)
        except Refused as why:
            return self.answer(400, {"error": {"message": f"strict: {why}", "type": "BadRequestError", "code": 400}})
        if request.get("stream"):
            self.stream(request, deltas, finish, asked)
        else:
            self.whole(request, deltas, finish)

    usage = {"prompt_tokens": 21, "completion_tokens": 9, "total_tokens": 30,
             "prompt_tokens_details": {"cached_tokens": 5}, "completion_tokens_details": {"reasoning_tokens": 3}}

    def stream(self, request, deltas, finish, asked):
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        self.close_connection = True

        def chunk(choices, **more):
            data = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices, **more}
            self.wfile.write(b"data: " + json.dumps(data).encode() + b"\n\n")
            self.wfile.flush()

        def delta(delta, reason=None):
            chunk([{"index": 0, "delta": delta, "finish_reason": reason}])

        delta({"role": "assistant", "content": ""})
        if "broken" in asked or "cut" in asked:
            delta({"content": "Half of"})
            if "broken" in asked:
                self.wfile.write(b'data: {"error": {"message": "the engine fell over", "code": 500}}\n\n')
            return
        for piece in deltas:
            delta(piece)
        delta({}, finish)
        if request.get("stream_options", {}).get("include_usage"):
            chunk([], usage=self.usage)
        self.wfile.write(b"data: [DONE]\n\n")

    def whole(self, request, deltas, finish):
        message = {"role": "assistant", "content": "".join(d.get("content", "") for d in deltas) or None}
        reasoning = "".join(d.get("reasoning_content", "") for d in deltas)
        if reasoning:
            message["reasoning_content"] = reasoning
        made = {}
        for piece in (call for d in deltas for call in d.get("tool_calls", [])):
            if "id" in piece:
                made[piece["index"]] = {k: piece[k] for k in ("id", "type")} | {"function": dict(piece["function"])}
            else:
                made[piece["index"]]["function"]["arguments"] += piece["function"]["arguments"]
        if made:
            message["tool_calls"] = [made[n] for n in sorted(made)]
        self.answer(200, {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m", "usage": self.usage,
                          "choices": [{"index": 0, "message": message, "finish_reason": finish}]})

    def embeddings(self, request):
        inputs = request["input"] if isinstance(request["input"], list) else [request["input"]]
        vector = [0.5, -1.25, 3.0]
        if request.get("encoding_format") == "base64":
            made = base64.b64encode(struct.pack("<3f", *vector)).decode()
        else:
            made = vector
        self.answer(200, {"object": "list", "model": "m", "usage": {"prompt_tokens": 2, "total_tokens": 2},
                          "data": [{"object": "embedding", "index": n, "embedding": made} for n in range(len(inputs))]})


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_port, flush=True)
sys.stdin.read()
