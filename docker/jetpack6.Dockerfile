# The node for ROS 2 Humble on a Jetson with JetPack 6; build it on the Jetson.
#   docker build -f docker/jetpack6.Dockerfile -t pavenet_ros:jetpack6 .
#   docker run --rm --runtime nvidia --net=host --ipc=host pavenet_ros:jetpack6 device:=cuda
FROM nvcr.io/nvidia/l4t-jetpack:r36.4.0
SHELL ["/bin/bash", "-c"]
ENV DEBIAN_FRONTEND=noninteractive LANG=C.UTF-8 PIP_NO_CACHE_DIR=1
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates curl && \
    curl -sSLo /usr/share/keyrings/ros-archive-keyring.gpg \
        https://raw.githubusercontent.com/ros/rosdistro/master/ros.key && \
    echo "deb [signed-by=/usr/share/keyrings/ros-archive-keyring.gpg]" \
        "http://packages.ros.org/ros2/ubuntu jammy main" > /etc/apt/sources.list.d/ros2.list && \
    apt-get update && apt-get install -y --no-install-recommends build-essential python3-pip \
        python3-rosdep python3-colcon-common-extensions ros-humble-ros-base && \
    rm -rf /var/lib/apt/lists/*
RUN pip install onnxruntime-gpu --index-url https://pypi.jetson-ai-lab.io/jp6/cu126 && \
    pip install 'numpy<2' 'opencv-python-headless<4.12'
WORKDIR /ws
COPY . src/pavenet_ros
# NVIDIA's OpenCV stands in the way of Ubuntu's, which cv_bridge wants; the node can do without.
RUN apt-get update && rosdep init && rosdep update && \
    rosdep install --rosdistro humble --from-paths src --ignore-src -y \
        --skip-keys 'cv_bridge python3-opencv' && \
    rm -rf /var/lib/apt/lists/*
RUN . /opt/ros/humble/setup.bash && colcon build --packages-select pavenet_ros
# ros2 launch takes no notice of the signal that docker stop sends by default.
STOPSIGNAL SIGINT
ENTRYPOINT ["bash", "-c", ". install/setup.bash && exec ros2 launch pavenet_ros pose.launch.py \"$@\"", "--"]
