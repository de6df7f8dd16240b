"""The checks' view of the tree: its files, with git or without (a checkout from an archive has none)."""
import glob, os


def enter():
    """Into the project's root."""
    os.chdir(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def files(*endings):
    """All sources with these endings, below the root; build folders are none."""
    rooms = [d for d in os.listdir(".") if os.path.isdir(d) and not d.startswith((".", "build"))]
    return sorted(f for r in rooms for f in glob.glob(r + "/**/*", recursive=True) if f.endswith(endings))
