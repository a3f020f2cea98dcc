"""llama-server's command line in front of the llama.cpp server inside the `xllamacpp` wheel.

The wheel is a library: its `Server` is llama.cpp's own HTTP server. This file reads the flags llama-server reads,
fills `CommonParams` and ends with the genuine exit codes: 0 on SIGTERM or SIGINT, 1 on an unknown flag, on a model
that does not load and on a port that is taken. Flags follow llama-server b11669; every one can also come from the
environment variable the genuine server reads for it, where `ENV` names one.
"""

import json
import os
import signal
import sys
import threading


class Bad(Exception):
    """A command line that makes no sense."""


def on_off(text):
    if text in ("on", "1", "true", "enabled"):
        return True
    if text in ("off", "0", "false", "disabled"):
        return False
    raise ValueError(text)


def words(text):
    return [word for word in text.split(",") if word]


def slurp(path):
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError as error:
        raise Bad("error: failed to open file '%s': %s" % (path, error.strerror))


def member(enum, prefix, names=None):
    """A reader for an enumeration of the wheel: `q8_0` -> ggml_type.GGML_TYPE_Q8_0."""

    def read(text):
        import xllamacpp

        name = prefix + (names or {}).get(text, text).upper()
        try:
            return getattr(xllamacpp, enum)[name]
        except KeyError:
            raise ValueError(text)

    return read


def put(path, read=str, into=lambda new, old: new):
    """A flag with one value that lands in one attribute of CommonParams; `path` may have dots."""

    def apply(params, text):
        *inner, last = path.split(".")
        at = params
        for name in inner:
            at = getattr(at, name)
        setattr(at, last, into(read(text), getattr(at, last)))

    return apply


def layers(text):
    return {"auto": -1, "all": -2}.get(text) if text in ("auto", "all") else int(text)


def padded(text, old):
    """The split over devices is a list of fixed length in the wheel."""
    shares = [float(share) for share in text.replace("/", ",").split(",")]
    return (shares + [0.0] * len(old))[: len(old)]


def targets(text, old):
    """MiB per device; one number stands for all devices."""
    mib = [int(n) * 1024 * 1024 for n in text.split(",")]
    return [mib[0]] * len(old) if len(mib) == 1 else (mib + old[len(mib) :])[: len(old)]


def slots(params, text):
    params.n_parallel = int(text)


def kwargs(params, text):
    # The wheel keeps each value as JSON text.
    values = json.loads(text)
    params.default_template_kwargs = {key: json.dumps(value) for key, value in values.items()}


def reasoning(params, text):
    params.enable_reasoning = {"on": 1, "off": 0, "auto": -1}[text]


def rerank(params, _):
    import xllamacpp

    params.embedding = True
    params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_RANK


def log_file(_, path):
    # llama.cpp writes from C++ straight to the descriptors, so the file takes their place.
    target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(target, 1)
    os.dup2(target, 2)


def nothing(_params, _text=None):
    """Accepted, and without effect here."""


CACHE = member("ggml_type", "GGML_TYPE_")

VALUES = {
    "-m --model": put("model.path"),
    "-mu --model-url": put("model.url"),
    "-hf -hfr --hf-repo": put("model.hf_repo"),
    "-hff --hf-file": put("model.hf_file"),
    "-hft --hf-token": put("hf_token"),
    "-mm --mmproj": put("mmproj.path"),
    "-mmu --mmproj-url": put("mmproj.url"),
    "-a --alias": put("model_alias", lambda text: set(words(text))),
    "--tags": put("model_tags", lambda text: set(words(text))),
    "--host": put("hostnames", words),
    "--port": put("port", int),
    "--path": put("public_path"),
    "--api-prefix": put("api_prefix"),
    "--api-key": put("api_keys", words, lambda new, old: list(old) + new),
    "--api-key-file": put(
        "api_keys",
        lambda path: [line for line in slurp(path).splitlines() if line and not line.startswith("#")],
        lambda new, old: list(old) + new,
    ),
    "--ssl-key-file": put("ssl_file_key"),
    "--ssl-cert-file": put("ssl_file_cert"),
    "--threads-http": put("n_threads_http", int),
    "-c --ctx-size": put("n_ctx", int),
    "-n --predict --n-predict": put("n_predict", int),
    "-b --batch-size": put("n_batch", int),
    "-ub --ubatch-size": put("n_ubatch", int),
    "--keep": put("n_keep", int),
    "-np --parallel": slots,
    "-t --threads": put("cpuparams.n_threads", int),
    "-tb --threads-batch": put("cpuparams_batch.n_threads", int),
    "--prio": put("cpuparams.priority", int),
    "--poll": put("cpuparams.poll", int),
    "-fa --flash-attn": put(
        "flash_attn_type",
        member("llama_flash_attn_type", "LLAMA_FLASH_ATTN_TYPE_", {"on": "ENABLED", "off": "DISABLED"}),
    ),
    "-ctk --cache-type-k": put("cache_type_k", CACHE),
    "-ctv --cache-type-v": put("cache_type_v", CACHE),
    "-cram --cache-ram": put("cache_ram_mib", int),
    "--cache-reuse": put("n_cache_reuse", int),
    "-ctxcp --ctx-checkpoints --swa-checkpoints": put("n_ctx_checkpoints", int),
    "-cms --checkpoint-min-step": put("checkpoint_min_step", int),
    "--kv-unified-per-slot": put("kv_unified_per_slot", int),
    "-ngl --gpu-layers --n-gpu-layers": put("n_gpu_layers", layers),
    "-sm --split-mode": put("split_mode", member("llama_split_mode", "LLAMA_SPLIT_MODE_")),
    "-ts --tensor-split": lambda params, text: setattr(params, "tensor_split", padded(text, params.tensor_split)),
    "-mg --main-gpu": put("main_gpu", int),
    "-ot --override-tensor": put("tensor_buft_overrides"),
    "--moe-cache-mib": put("moe_cache_size", int),
    "-fit --fit": put("fit_params", on_off),
    "-fitt --fit-target": lambda params, text: setattr(
        params, "fit_params_target", targets(text, params.fit_params_target)
    ),
    "-fitc --fit-ctx": put("fit_params_min_ctx", int),
    "--numa": put("numa", member("ggml_numa_strategy", "GGML_NUMA_STRATEGY_")),
    "-lm --load-mode": put(
        "load_mode",
        member("llama_load_mode", "LLAMA_LOAD_MODE_", {"mmap+mlock": "MMAP_MLOCK", "dio": "DIRECT_IO"}),
    ),
    "--rope-scaling": put("rope_scaling_type", member("llama_rope_scaling_type", "LLAMA_ROPE_SCALING_TYPE_")),
    "--rope-scale": put("rope_freq_scale", lambda text: 1.0 / float(text)),
    "--rope-freq-base": put("rope_freq_base", float),
    "--rope-freq-scale": put("rope_freq_scale", float),
    "--yarn-orig-ctx": put("yarn_orig_ctx", int),
    "--yarn-ext-factor": put("yarn_ext_factor", float),
    "--yarn-attn-factor": put("yarn_attn_factor", float),
    "--yarn-beta-slow": put("yarn_beta_slow", float),
    "--yarn-beta-fast": put("yarn_beta_fast", float),
    "--chat-template": put("chat_template"),
    "--chat-template-file": put("chat_template", slurp),
    "--chat-template-kwargs": kwargs,
    "--reasoning-format": put(
        "reasoning_format",
        member("common_reasoning_format", "COMMON_REASONING_FORMAT_", {"deepseek-legacy": "DEEPSEEK_LEGACY"}),
    ),
    "-rea --reasoning": reasoning,
    "--reasoning-budget": put("sampling.reasoning_budget_tokens", int),
    "--reasoning-budget-message": put("sampling.reasoning_budget_message"),
    "--pooling": put("pooling_type", member("llama_pooling_type", "LLAMA_POOLING_TYPE_")),
    "--embd-normalize": put("embd_normalize", int),
    "-to --timeout": lambda params, text: (
        setattr(params, "timeout_read", int(text)),
        setattr(params, "timeout_write", int(text)),
    ),
    "--sse-ping-interval": put("sse_ping_interval", int),
    "--sleep-idle-seconds": put("sleep_idle_seconds", int),
    "--slot-save-path": put("slot_save_path"),
    "-sps --slot-prompt-similarity": put("slot_prompt_similarity", float),
    "-s --seed": put("sampling.seed", lambda text: int(text) & 0xFFFFFFFF),
    "--temp --temperature": put("sampling.temp", float),
    "--top-k": put("sampling.top_k", int),
    "--top-p": put("sampling.top_p", float),
    "--min-p": put("sampling.min_p", float),
    "--repeat-penalty": put("sampling.penalty_repeat", float),
    "--repeat-last-n": put("sampling.penalty_last_n", int),
    "--presence-penalty": put("sampling.penalty_present", float),
    "--frequency-penalty": put("sampling.penalty_freq", float),
    "-md --model-draft --spec-draft-model": put("speculative.draft.mparams.path"),
    "--spec-draft-n-max": put("speculative.draft.n_max", int),
    "--spec-draft-n-min": put("speculative.draft.n_min", int),
    "--spec-draft-p-min --draft-p-min": put("speculative.draft.p_min", float),
    "-ngld --gpu-layers-draft --n-gpu-layers-draft --spec-draft-ngl": put("speculative.draft.n_gpu_layers", layers),
    "--spec-type": put(
        "speculative.types",
        lambda text: [
            member("common_speculative_type", "COMMON_SPECULATIVE_TYPE_")(word.replace("-", "_")) for word in words(text)
        ],
    ),
    "-lv --verbosity --log-verbosity": put("verbosity", int),
    "--log-file": log_file,
    "--log-colors": nothing,
}


def flag(path, value):
    """A flag without a value."""
    return lambda params, _=None: put(path, lambda same: same)(params, value)


SWITCHES = {
    "--jinja": flag("use_jinja", True),
    "--no-jinja": flag("use_jinja", False),
    "--metrics": flag("endpoint_metrics", True),
    "--props": flag("endpoint_props", True),
    "--slots": flag("endpoint_slots", True),
    "--no-slots": flag("endpoint_slots", False),
    "--embedding --embeddings": flag("embedding", True),
    "--rerank --reranking": rerank,
    "--ui --webui": flag("ui", True),
    "--no-ui --no-webui": flag("ui", False),
    "-cb --cont-batching": flag("cont_batching", True),
    "-nocb --no-cont-batching": flag("cont_batching", False),
    "-kvu --kv-unified": flag("kv_unified", True),
    "-no-kvu --no-kv-unified": flag("kv_unified", False),
    "-kvo --kv-offload": flag("no_kv_offload", False),
    "-nkvo --no-kv-offload": flag("no_kv_offload", True),
    "--op-offload": flag("no_op_offload", False),
    "--no-op-offload": flag("no_op_offload", True),
    "--repack": flag("no_extra_bufts", False),
    "-nr --no-repack": flag("no_extra_bufts", True),
    "--no-host": flag("no_host", True),
    "--swa-full": flag("swa_full", True),
    "--cache-prompt": flag("cache_prompt", True),
    "--no-cache-prompt": flag("cache_prompt", False),
    "--cache-idle-slots": flag("cache_idle_slots", True),
    "--no-cache-idle-slots": flag("cache_idle_slots", False),
    "--context-shift": flag("ctx_shift", True),
    "--no-context-shift": flag("ctx_shift", False),
    "--warmup": flag("warmup", True),
    "--no-warmup": flag("warmup", False),
    "--perf": flag("no_perf", False),
    "--no-perf": flag("no_perf", True),
    "--check-tensors": flag("check_tensors", True),
    "--no-mmproj": flag("no_mmproj", True),
    "--mmproj-offload": flag("mmproj_use_gpu", True),
    "--no-mmproj-offload": flag("mmproj_use_gpu", False),
    "--prefill-assistant": flag("prefill_assistant", True),
    "--no-prefill-assistant": flag("prefill_assistant", False),
    "--reuse-port": flag("reuse_port", True),
    "-sp --special": flag("special", True),
    "--offline": flag("offline", True),
    "--log-jsonl": flag("log_json", True),
    "--no-log-jsonl": flag("log_json", False),
    "-v --verbose --log-verbose": flag("verbosity", 1000),
    "--log-disable": flag("verbosity", -1),
    "--log-prefix": nothing,
    "--no-log-prefix": nothing,
    "--log-timestamps": nothing,
    "--no-log-timestamps": nothing,
}

# Secrets and the common settings may come from the environment, as with the genuine server; a flag beats them.
ENV = {
    "LLAMA_API_KEY": "--api-key",
    "LLAMA_ARG_MODEL": "-m",
    "LLAMA_ARG_ALIAS": "-a",
    "LLAMA_ARG_HOST": "--host",
    "LLAMA_ARG_PORT": "--port",
    "LLAMA_ARG_CTX_SIZE": "-c",
    "LLAMA_ARG_N_PARALLEL": "-np",
    "LLAMA_ARG_THREADS": "-t",
    "LLAMA_ARG_N_GPU_LAYERS": "-ngl",
    "LLAMA_CHAT_TEMPLATE_KWARGS": "--chat-template-kwargs",
}


def by_name(table):
    return {name: apply for names, apply in table.items() for name in names.split()}


def fill(params, argv):
    """Reads the command line into `params`."""
    values, switches = by_name(VALUES), by_name(SWITCHES)

    def one(name, text):
        try:
            values[name](params, text)
        except (ValueError, KeyError, TypeError, OverflowError, OSError) as error:
            raise Bad("error while handling argument \"%s\": %s" % (name, error))

    given = set(argv)
    for variable, name in ENV.items():
        # One spelling of a flag on the command line is enough to beat the variable.
        spellings = next(names.split() for names in VALUES if name in names.split())
        text = os.environ.get(variable)
        if text and not given.intersection(spellings):
            one(name, text)
    at = 0
    while at < len(argv):
        name = argv[at]
        if name.startswith("--"):
            name = name.replace("_", "-")
        at += 1
        if name in switches:
            switches[name](params)
        elif name in values:
            if at == len(argv):
                raise Bad("error: argument \"%s\" expected a value" % name)
            one(name, argv[at])
            at += 1
        else:
            raise Bad("error: invalid argument: %s" % name)


def say(text):
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def leave(code):
    """Ends at once: llama.cpp's threads are not joined, which could hang."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def taken(host, port):
    import errno
    import socket

    if port == 0 or host.endswith(".sock"):
        return False
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        if os.name == "posix":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error.errno in (errno.EADDRINUSE, errno.EACCES)
    return False


def version():
    import importlib.metadata
    import platform

    wheel = importlib.metadata.version("xllamacpp")
    build = wheel.rsplit(".", 1)[-1]
    say("version: %s (build %s, xllamacpp) for %s %s" % (wheel, build, platform.system(), platform.machine()))


def main(argv):
    if "--version" in argv:
        version()
        return 0
    if {"-h", "--help", "--usage"}.intersection(argv):
        names = sorted(list(VALUES) + list(SWITCHES))
        sys.stdout.write("\n".join(name.replace(" ", ", ") for name in names) + "\n")
        return 0

    import xllamacpp

    if "--list-devices" in argv:
        sys.stdout.write("Available devices:\n")
        for device in xllamacpp.get_device_info():
            if device["name"] != "CPU":
                total, free = device["memory_total"] >> 20, device["memory_free"] >> 20
                shown = (device["name"], device["description"], total, free)
                sys.stdout.write("  %s: %s (%d MiB, %d MiB free)\n" % shown)
        return 0

    params = xllamacpp.CommonParams()
    # The genuine defaults, where the library's own differ.
    params.port = 8080
    params.n_parallel = -1
    try:
        fill(params, argv)
    except Bad as error:
        say(str(error))
        return 1
    if params.n_parallel < 0:
        # What `-np -1` (auto) means to the genuine server: four slots that share one cache.
        params.n_parallel = 4
        params.kv_unified = True

    done = threading.Event()
    outcome = []

    def serve():
        try:
            outcome.append(xllamacpp.Server(params))
        except BaseException as error:  # whatever the C++ side raised ends the process
            outcome.append(error)
            done.set()
            return
        say("llama_server: listening on %s" % outcome[0].listening_address)

    for name in ("SIGTERM", "SIGINT", "SIGBREAK"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), lambda *_: leave(0))
    # Loading runs beside the main thread, which alone gets signals.
    threading.Thread(target=serve, daemon=True).start()
    while not done.wait(0.25):
        pass
    # The wheel raises the same words for a bad model and a taken port.
    for host in params.hostnames:
        if taken(host, params.port):
            say("start: couldn't bind HTTP server socket, hostname: %s, port: %d" % (host, params.port))
            return 1
    model = params.model.path or params.model.hf_repo
    say("failed to load model '%s': %s" % (model, outcome[0]))
    say("exiting due to model loading error")
    return 1


if __name__ == "__main__":
    leave(main(sys.argv[1:]))
