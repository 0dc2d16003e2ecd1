"""What stands under the help of each command: lines that can be typed as they are. A test parses every one of them."""

EXAMPLES: dict[str, tuple[str, ...]] = {
    "": (
        "ragchat",
        "ragchat setup",
        "ragchat kb add house ~/Documents/house",
        'ragchat ask "When is the boiler serviced?"',
    ),
    "chat": ("ragchat chat", "ragchat chat --model qwen3-0.6b", "ragchat chat --plain"),
    "ask": (
        'ragchat ask "How long is the notice period?" --kb contracts',
        'ragchat ask "What does it say about costs?" --attach offer.pdf',
        'git diff | ragchat ask "What does this change?" - --no-rag',
        'ragchat ask "Who signed it?" --strict --json',
    ),
    "finetune": (
        "ragchat finetune mine --chats --mode style",
        "ragchat finetune parts --file parts.jsonl --mode knowledge --dry-run",
        "ragchat finetune work --kb work --mode rag",
    ),
    "adapter": ("ragchat adapter list", "ragchat adapter info mine"),
    "adapter check": ("ragchat adapter check mine",),
    "adapter export": (
        "ragchat adapter export mine --output mine.gguf",
        "ragchat adapter export mine --format merged-q8_0 --modelfile",
    ),
    "adapter import": ("ragchat adapter import mine.gguf --name theirs",),
    "adapter info": ("ragchat adapter info mine", "ragchat adapter info mine --json"),
    "adapter list": ("ragchat adapter list", "ragchat adapter list --json"),
    "adapter remove": ("ragchat adapter remove mine --yes",),
    "pairs": ("ragchat pairs draft work", "ragchat pairs review work"),
    "pairs draft": ("ragchat pairs draft work --most 200",),
    "pairs export": ("ragchat pairs export work --output work.jsonl",),
    "pairs list": ("ragchat pairs list work --all",),
    "pairs review": ("ragchat pairs review work",),
    "kb": (
        "ragchat kb add work ~/notes ~/contracts",
        "ragchat kb status work",
        'ragchat kb search "notice period" --kb work',
    ),
    "kb add": (
        "ragchat kb add work ~/notes ~/contracts",
        "ragchat kb add prices --csv prices.csv --key id",
        'ragchat kb add shop --sqlite shop.db --query "SELECT id, name, text FROM products" --key id',
    ),
    "kb check": ("ragchat kb check", "ragchat kb check work"),
    "kb embed": ("ragchat kb embed", "ragchat kb embed work", "ragchat kb embed work --forget"),
    "kb export": ("ragchat kb export work work.ragkb",),
    "kb forget": ("ragchat kb forget work ~/notes/private",),
    "kb import": ("ragchat kb import work.ragkb",),
    "kb list": ("ragchat kb list", "ragchat kb list --json"),
    "kb remove": ("ragchat kb remove work",),
    "kb rename": ("ragchat kb rename work office",),
    "kb search": ('ragchat kb search "notice period"', 'ragchat kb search "error E42" --kb manuals -k 20'),
    "kb settings": (
        "ragchat kb settings work",
        'ragchat kb settings work --include "*.md" --exclude "drafts/"',
    ),
    "kb status": ("ragchat kb status work", "ragchat kb status work --all"),
    "kb sync": ("ragchat kb sync", "ragchat kb sync work", "ragchat kb sync work --again"),
    "kb watch": ("ragchat kb watch", "ragchat kb watch work"),
    "model": ("ragchat model list", "ragchat model pull qwen3-0.6b", "ragchat model info"),
    "model add": ("ragchat model add ~/Downloads/Qwen2.5-1.5B.gguf --name qwen",),
    "model info": ("ragchat model info", "ragchat model info qwen3-0.6b --n-ctx 4096"),
    "model list": ("ragchat model list", "ragchat model list --json"),
    "model pull": ("ragchat model pull", "ragchat model pull qwen3-0.6b"),
    "model remove": ("ragchat model remove qwen",),
    "eval": ("ragchat eval run work --adapter mine", "ragchat eval report work -o work.html"),
    "eval calibrate": ("ragchat eval calibrate work", "ragchat eval calibrate work --false-answers 0.1"),
    "eval history": ("ragchat eval history", "ragchat eval history work --json"),
    "eval questions": ("ragchat eval questions list", "ragchat eval questions import work questions.csv"),
    "eval questions add": (
        'ragchat eval questions add work "Who signed the lease?" --answer "Ada Pell" --source lease.pdf',
        'ragchat eval questions add work "What does a helicopter cost?" --unanswerable',
    ),
    "eval questions draft": ("ragchat eval questions draft work --kb work --most 60",),
    "eval questions export": ("ragchat eval questions export work -o work.csv",),
    "eval questions import": (
        "ragchat eval questions import work questions.jsonl",
        "ragchat eval questions import squad dev-v2.0.json --tag squad",
    ),
    "eval questions list": ("ragchat eval questions list", "ragchat eval questions list work"),
    "eval questions remove": ("ragchat eval questions remove work 3f9c2a41b0de",),
    "eval questions review": ("ragchat eval questions review work",),
    "eval report": ("ragchat eval report", "ragchat eval report work -o work.html"),
    "eval run": (
        "ragchat eval run work",
        "ragchat eval run work --adapter mine --kb work --limit 100",
        "ragchat eval run work --arms rag --fail-below f1=0.6",
    ),
    "eval tune": (
        "ragchat eval tune work",
        "ragchat eval tune work --passages --limit 60",
        "ragchat eval tune work --chunks --store",
    ),
    "eval watch": ("ragchat eval watch", "ragchat eval watch work --sample 40"),
    "eval packing": ("ragchat eval packing questions/ --limit 40",),
    "setup": ("ragchat setup", "ragchat setup --no-model"),
    "config": ("ragchat config show", "ragchat config set retrieval.k 12"),
    "config path": ("ragchat config path",),
    "config set": ("ragchat config set retrieval.k 12", "ragchat config set chat.knowledge_bases work,house"),
    "config show": ("ragchat config show", "ragchat config show --json"),
    "config unset": ("ragchat config unset retrieval.k",),
    "completion": ("ragchat completion bash", "ragchat completion zsh > ~/.zfunc/_ragchat"),
    "doctor": ("ragchat doctor", "ragchat doctor --json"),
}
"""By the words of the command, without "ragchat". A command whose own help shows an example needs none here."""


def epilog(words: str) -> str:
    """The block under the help of a command; empty when it has none here."""
    lines = EXAMPLES.get(words)
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines) if lines else ""
